"""Each failure of a real Hub comes out as an error of its own that says what to do, and no token is in any text."""

import traceback

import pytest
from huggingface_hub import constants, get_token, snapshot_download

from hubtune.errors import (
    HubError,
    HubUnreachableError,
    InvalidTokenError,
    MissingTokenError,
    PermissionDeniedError,
    RepoNotFoundError,
    RevisionNotFoundError,
)
from hubtune.hub.read import find_tag, resolve, whoami
from hubtune.hub.repo_files import read_files
from hubtune.hub.snapshot import download_fresh
from hubtune.hub.translate import hub_errors, mask
from hubtune.hub.write import create_repo
from hubtune.localhub import FaultRule

READER = "hf_robrobrob"


@pytest.fixture
def repo(guarded_hub) -> str:
    guarded_hub.api.create_repo("org/private", private=True)
    guarded_hub.commit("org/open", {"a.txt": b"a"})
    return "org/open"


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_a_repository_that_does_not_exist(guarded_hub, repo_type: str):
    with pytest.raises(RepoNotFoundError, match=f"no repository org/nothing at {guarded_hub.url}"):
        resolve("org/nothing", repo_type, "main")


def test_a_private_repository_of_others_looks_like_none_and_the_missing_token_is_named(repo: str, monkeypatch):
    assert resolve("org/private", "model", "main").commit

    monkeypatch.setenv("HF_TOKEN", "hf_eveeveeve")
    with pytest.raises(RepoNotFoundError, match="or it is private to others"):
        resolve("org/private", "model", "main")

    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RepoNotFoundError, match="there is no token"):
        resolve("org/private", "model", "main")


def test_a_data_set_asked_for_as_a_model_is_hinted_at(repo: str, guarded_hub):
    guarded_hub.commit("org/sayings", {"a.txt": b"a"}, "dataset")

    with pytest.raises(RepoNotFoundError) as caught:
        resolve("org/sayings", "model", "main")

    assert "dataset or a model" in str(caught.value.hint)


@pytest.mark.parametrize("revision", ["v9", "a" * 40])
def test_a_revision_that_does_not_exist(repo: str, revision: str):
    with pytest.raises(RevisionNotFoundError, match=f"{repo} has no revision '{revision}'"):
        resolve(repo, "model", revision)


def test_the_address_to_look_at_is_that_of_the_data_set(repo: str, guarded_hub):
    guarded_hub.commit("org/sayings", {"a.txt": b"a"}, "dataset")

    for name, repo_type, page in [(repo, "model", repo), ("org/sayings", "dataset", "datasets/org/sayings")]:
        with pytest.raises(RevisionNotFoundError) as caught:
            resolve(name, repo_type, "v9")
        assert f": {guarded_hub.url}/{page}/tree/main" in str(caught.value.hint)


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_a_file_of_this_machine_that_was_taken_for_a_repository_is_hinted_at(guarded_hub, repo_type: str):
    with pytest.raises(RepoNotFoundError, match=r"data\.csv") as caught:
        resolve("data.csv", repo_type, "main")

    assert "`data[].path`" in str(caught.value.hint)


def test_who_may_not_read_is_not_asked_for_a_token_that_writes(repo: str, guarded_hub):
    guarded_hub.faults.add(FaultRule(path="/api/models/*", status=403))

    with pytest.raises(PermissionDeniedError, match=f"may not read {repo}") as caught:
        resolve(repo, "model", "main")

    assert "write" not in str(caught.value.hint)


def test_a_download_that_is_refused_is_the_hub_s_word_and_no_fault_of_the_disk(repo: str, guarded_hub, tmp_path):
    commit = guarded_hub.head(repo)
    guarded_hub.faults.add(FaultRule(path="*/resolve/*", status=403))

    for read in (
        lambda: read_files(repo, "model", commit, ["a.txt"]),
        lambda: download_fresh(repo, commit, "a.txt", tmp_path),
    ):
        with pytest.raises(PermissionDeniedError, match=f"may not read {repo}"):
            read()


def test_what_is_not_found_is_named(repo: str, guarded_hub):
    guarded_hub.faults.add(FaultRule(path="/api/models/*", status=404, code="EntryNotFound", message="Not here"))

    with pytest.raises(HubError, match=f"nothing at /api/models/{repo}/revision/main of {repo}: Not here"):
        resolve(repo, "model", "main")


def test_a_token_that_the_hub_does_not_know(repo: str, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrong")

    for ask in (whoami, lambda: resolve(repo, "model", "main"), lambda: create_repo("org/new")):
        with pytest.raises(InvalidTokenError, match="does not accept the token"):
            ask()


def test_no_token_where_one_is_needed(repo: str, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")

    for ask in (whoami, lambda: create_repo("org/new")):
        with pytest.raises(MissingTokenError) as caught:
            ask()
        assert "hf auth login" in str(caught.value.hint)
        assert f"a token of the Hub at {constants.ENDPOINT}" in str(caught.value.hint)


@pytest.mark.parametrize("token", [READER, "hf_patpatpat", "hf_eveeveeve"])
def test_a_token_that_may_only_read_or_belongs_to_others(repo: str, monkeypatch, token: str):
    monkeypatch.setenv("HF_TOKEN", token)

    with pytest.raises(PermissionDeniedError, match="org/new"):
        create_repo("org/new")


def test_no_hub_at_the_address(monkeypatch):
    with pytest.raises(HubUnreachableError, match=f"No Hub answers at {constants.ENDPOINT}") as caught:
        resolve("org/open", "model", "main")

    assert "HF_ENDPOINT" in str(caught.value.hint)


def test_a_hub_that_may_not_be_asked_is_told_as_unreachable_with_the_variable(served, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(HubUnreachableError, match="HF_HUB_OFFLINE"):
        resolve("org/open", "model", "main")
    with pytest.raises(HubUnreachableError, match="HF_HUB_OFFLINE"), hub_errors("org/open", "main"):
        snapshot_download("org/open", revision="a" * 40, cache_dir=tmp_path)


def test_a_failure_that_no_subclass_describes_names_status_and_repository(repo: str, guarded_hub):
    from huggingface_hub import HfApi

    with pytest.raises(HubError, match=rf"answered with 4\d\d about {repo}") as caught, hub_errors(repo):
        HfApi().create_tag(repo, tag="bad..tag", revision="main")

    assert type(caught.value) is HubError


def test_what_is_no_fault_of_the_hub_passes_as_it_is():
    with pytest.raises(KeyError, match="mine"), hub_errors("org/open"):
        raise KeyError("mine")


@pytest.mark.parametrize("token", ["hf_robrobrob", "odd-secret/with+signs"])
def test_no_text_of_an_error_holds_the_token(repo: str, monkeypatch, token: str):
    monkeypatch.setenv("HF_TOKEN", token)

    for ask in (
        whoami,
        lambda: create_repo("org/new"),
        lambda: resolve("org/private", "model", "nope"),
        lambda: find_tag("org/none", "v1"),
    ):
        try:
            ask()
        except HubError as error:
            told = [error.message, str(error.hint), *error.details, *traceback.format_exception(error)]
            assert token not in "\n".join(told)


@pytest.mark.parametrize("text", ["hf_AbCd1234", "Bearer abc.def-ghi", "bearer abc.def-ghi", "odd-secret/with+signs"])
def test_a_token_of_any_form_is_masked(monkeypatch, text: str):
    monkeypatch.setenv("HF_TOKEN", "odd-secret/with+signs")
    assert get_token() == "odd-secret/with+signs"

    masked = mask(f"sent {text} to https://example.org")

    assert masked == "sent [token] to https://example.org"


def test_text_without_a_token_is_left_as_it_is():
    assert mask("half_done hf_x shelf_life") == "half_done hf_x shelf_life"
