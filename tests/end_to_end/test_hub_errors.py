"""What a Hub does not have or does not allow ends in one clear message, and changes nothing on it."""

import hashlib
import socket
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hubtune.errors import (
    CheckError,
    ColumnNotFoundError,
    ConfigError,
    EmptySplitError,
    GatedRepoError,
    HubUnreachableError,
    InvalidTokenError,
    MissingTokenError,
    NoSafetensorsError,
    PermissionDeniedError,
    RepoNotFoundError,
    RevisionNotFoundError,
    SecretFoundError,
    SplitNotFoundError,
)
from tests.end_to_end.worlds import write_rows

PUSH = ("run", "--push")


def refused_unchanged(world, error, words, *arguments):
    """Runs a command that has to be refused, and asserts that the Hub was asked and nothing was changed on it."""
    before = world.stored()
    shown = world.hubtune(*arguments, "--hub", world.hub)
    shown.refused(error, *words)
    assert world.requests() != []
    assert world.writes() == []
    assert world.stored() == before
    return shown


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"base__repo": "lab/none"}, RepoNotFoundError, ["lab/none"]),
        ({"data__repo": "lab/none"}, RepoNotFoundError, ["lab/none"]),
        ({"base__repo": "lab/quotes"}, RepoNotFoundError, ["lab/quotes", "dataset or a model"]),
        ({"base__revision": "v9"}, RevisionNotFoundError, ["lab/gpt2", "'v9'"]),
        ({"data__revision": "0" * 40}, RevisionNotFoundError, ["lab/quotes", "0" * 40]),
    ],
    ids=["base", "data", "type", "base revision", "data revision"],
)
def test_an_input_that_does_not_exist_is_named(world, change, error, words):
    world.config(**change)
    refused_unchanged(world, error, words, *PUSH)
    assert not (world.work / "runs").exists()
    assert not (world.work / "hubtune.lock").exists()


@pytest.mark.parametrize("command", ["check", "pin"])
def test_check_and_pin_name_an_input_that_does_not_exist_too(world, command):
    world.config(base__repo="lab/none")
    refused_unchanged(world, RepoNotFoundError, ["lab/none"], command)
    assert not (world.work / "hubtune.lock").exists()


def test_several_faults_are_all_named_at_once(world):
    world.config(base__repo="lab/none", data__revision="v9")
    shown = refused_unchanged(world, CheckError, ["lab/none", "lab/quotes", "'v9'"], *PUSH)
    assert sum(line.startswith("  - ") for line in shown.err.splitlines()) == 2


def test_a_base_without_safetensors_is_refused_with_what_it_has_instead(world):
    with world.served() as api:
        api.create_repo("lab/pickled")
        api.upload_file(path_or_fileobj=b"\x80", path_in_repo="pytorch_model.bin", repo_id="lab/pickled")
    world.forget_requests()
    world.config(base__repo="lab/pickled")
    refused_unchanged(world, NoSafetensorsError, ["lab/pickled", "safetensors", "pytorch_model.bin"], *PUSH)
    assert not (world.root / "home").exists()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"data__template": "{quote} ({year})"}, ColumnNotFoundError, ["lab/quotes", "'year'", "author, quote"]),
        ({"data__split": "validation"}, SplitNotFoundError, ["lab/quotes", "'validation'", "train"]),
    ],
    ids=["column", "split"],
)
def test_data_that_does_not_fit_the_config_is_refused_before_training(world, change, error, words):
    world.config(**change)
    shown = refused_unchanged(world, error, words, *PUSH, "--run-dir", "run")
    assert "Training" not in shown.err
    assert not (world.run_dir / "adapter").exists()


def test_a_split_without_any_row_is_refused(world):
    folder = world.root / "empty"
    write_rows(folder / "train.jsonl", [{"author": "x", "quote": "y"}])
    write_rows(folder / "test.jsonl", [])
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# Empty\n")
    world.done("hub", "import", folder, "lab/empty", "--type", "dataset", "--hub", world.hub)
    world.forget_requests()
    world.config(data__repo="lab/empty", data__split="test")
    refused_unchanged(world, EmptySplitError, ["lab/empty", "no rows"], *PUSH)


@pytest.mark.parametrize(
    ("token", "target", "error", "words"),
    [
        (None, "lab/new", MissingTokenError, ["no token", "HF_TOKEN"]),
        pytest.param(
            *("hf_wrongwrong", "lab/new", InvalidTokenError, ["does not accept the token", "HF_TOKEN"]),
            marks=pytest.mark.full_trial,
        ),
        ("hf_robrobrob", "lab/new", PermissionDeniedError, ["rob", "lab/new", "read"]),
        ("hf_eveeveeve", "lab/new", PermissionDeniedError, ["eve", "lab/new", "organisations"]),
        ("hf_annannann", "else/new", PermissionDeniedError, ["ann", "else/new", "lab"]),
    ],
    ids=["missing", "wrong", "read-only", "stranger", "namespace of somebody else"],
)
def test_a_token_that_may_not_publish_is_refused_before_training(world, auth, token, target, error, words):
    before = world.stored()
    with world.served(auth) as api:
        shown = world.hubtune("run", "--push", target, HF_ENDPOINT=api.endpoint, HF_TOKEN=token)
    shown.refused(error, *words)
    assert token is None or token not in shown.out + shown.err
    assert world.requests() != []
    assert world.writes() == []
    assert world.stored() == before
    assert not (world.work / "runs").exists()


@pytest.mark.parametrize(
    ("token", "error"),
    [
        pytest.param(None, MissingTokenError, marks=pytest.mark.full_trial),
        pytest.param("hf_wrongwrong", InvalidTokenError, marks=pytest.mark.full_trial),
        ("hf_robrobrob", PermissionDeniedError),
    ],
    ids=["missing", "wrong", "read-only"],
)
def test_a_finished_run_is_not_published_without_the_right_token(finished, auth, token, error):
    before = finished.stored()
    with finished.served(auth) as api:
        shown = finished.hubtune("publish", "run", "--tag", "v2.0.0", HF_ENDPOINT=api.endpoint, HF_TOKEN=token)
    shown.refused(error)
    assert token is None or token not in shown.out + shown.err
    assert [line for line in finished.writes() if line["status"] < 400] == []
    assert finished.stored() == before


# Publishing tries for longer, and waits between.
@pytest.mark.parametrize("command", [pytest.param(PUSH, marks=pytest.mark.full_trial), ("pin",)], ids=" ".join)
def test_a_hub_that_cannot_be_reached_is_named_with_what_to_check(finished, command):
    finished.config(publish__tag="v2.0.0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    shown = finished.hubtune(*command, HF_ENDPOINT=f"http://127.0.0.1:{port}", HF_TOKEN="any")
    shown.refused(HubUnreachableError, f"http://127.0.0.1:{port}", "HF_ENDPOINT")


def test_an_import_of_nothing_is_refused(bare):
    shown = bare.hubtune("hub", "import", "nothing-here", "lab/new", "--hub", bare.hub)
    shown.refused(ConfigError, "nothing-here")
    assert bare.writes() == []


def test_an_import_of_a_secret_is_refused_before_anything_is_sent(bare):
    folder = bare.root / "data"
    folder.mkdir()
    (folder / "rows.jsonl").write_text('{"text": "fine"}\n{"text": "use hf_' + "aB3" * 12 + '"}\n')
    shown = bare.hubtune("hub", "import", folder, "lab/new", "--type", "dataset", "--hub", bare.hub)
    shown.refused(SecretFoundError, "rows.jsonl, line 2", f"Take them out of {folder}")
    assert "aB3aB3" not in shown.out + shown.err
    assert bare.writes() == []


@pytest.mark.parametrize("target", ["diary.jsonl", "private", "nothing"])
def test_an_import_of_a_link_out_of_the_folder_is_refused_before_anything_is_sent(bare, target):
    folder = bare.root / "data"
    write_rows(folder / "train.jsonl", [{"text": "fine"}])
    write_rows(bare.root / "diary.jsonl", [{"text": "a diary"}])
    write_rows(bare.root / "private/diary.jsonl", [{"text": "a diary"}])
    (folder / "link").symlink_to(bare.root / target)
    shown = bare.hubtune("hub", "import", folder, "lab/new", "--type", "dataset", "--hub", bare.hub)
    shown.refused(ConfigError, f"{folder}/link is a link to {bare.root / target}")
    assert bare.writes() == []


def test_a_snapshot_of_the_cache_is_imported_with_the_files_that_it_links_to(world):
    with world.served() as api:
        folder = api.snapshot_download("lab/quotes", repo_type="dataset", cache_dir=world.root / "c")
    assert (Path(folder) / "train.jsonl").is_symlink()
    shown = world.done("--json", "hub", "import", folder, "lab/copy", "--type", "dataset", "--hub", world.hub).document
    assert shown["files"]["train.jsonl"] == hashlib.sha256((Path(folder) / "train.jsonl").read_bytes()).hexdigest()


def test_an_import_to_a_malformed_repository_id_is_refused(bare, sources):
    shown = bare.hubtune("hub", "import", sources / "quotes", "no namespace", "--hub", bare.hub)
    shown.refused(ConfigError, "'no namespace'")
    assert bare.requests() == []


@pytest.fixture
def gated(world, auth):
    """A Hub whose base model is gated by its owners, and the user's client for it by token."""
    with world.served(auth) as api:
        HfApi(endpoint=api.endpoint, token="hf_annannann").update_repo_settings("lab/gpt2", gated="manual")
        yield api.endpoint


@pytest.mark.parametrize(
    "command", ["check", *(pytest.param(name, marks=pytest.mark.full_trial) for name in ("pin", "run"))]
)
@pytest.mark.parametrize(
    ("token", "words"),
    [(None, ["lab/gpt2 is gated, and there is no token", "HF_TOKEN"]), ("hf_eveeveeve", ["granted", "Accept its"])],
    ids=["no token", "not accepted"],
)
def test_a_gated_base_is_refused_at_the_start_and_says_what_is_lacking(world, gated, command, token, words):
    world.config(publish__repo=None)
    shown = world.hubtune(command, HF_ENDPOINT=gated, HF_TOKEN=token)

    shown.refused(GatedRepoError, *words)
    assert not (world.work / "runs").exists()


def test_who_was_granted_access_to_a_gated_base_trains_on_it(world, gated):
    world.config(publish__repo=None)
    HfApi(endpoint=gated, token="hf_annannann").grant_access("lab/gpt2", "eve")
    world.done("run", "--run-dir", "run", "-s", "train.epochs=0.1", HF_ENDPOINT=gated, HF_TOKEN="hf_eveeveeve")

    assert world.record("pins.json")["base"]["gated"] == "manual"
    assert "`lab/gpt2` is gated" in (world.run_dir / "README.md").read_text()
