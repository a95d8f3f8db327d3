"""While a release is published, the client sends each request once and a damaged answer is told as one."""

import pytest
from huggingface_hub import HfApi, get_session

from hubtune.errors import HubError, HubUnreachableError
from hubtune.hub.client import Client, requests_sent_once
from hubtune.hub.read import list_refs, resolve, whoami
from hubtune.hub.repo_files import file_content, file_digest, list_files
from hubtune.hub.translate import hub_errors
from hubtune.localhub import FaultRule

REPO = "org/thing"


@pytest.fixture
def commit(served) -> str:
    return served.commit(REPO, {"a.txt": b"a" * 100, "w.safetensors": b"w" * 100})


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_listing_that_the_client_would_repeat_is_asked_for_once(served, commit, status: int):
    served.faults.add(FaultRule(path="*/tree/*", status=status))
    seen = len(served.requests())

    said = "asks to wait" if status == 429 else str(status)
    with requests_sent_once(), pytest.raises(HubError, match=said) as caught:
        list_files(REPO, commit)

    assert caught.value.passing
    assert len(served.requests()) == seen + 1


@pytest.mark.parametrize("fault", [{"drop": True}, {"body": "half"}], ids=str)
def test_an_answer_that_breaks_off_is_no_answer(served, commit, fault):
    served.faults.add(FaultRule(path="*/tree/*", **fault))
    seen = len(served.requests())

    with requests_sent_once(), pytest.raises(HubUnreachableError) as caught:
        list_files(REPO, commit)

    assert caught.value.passing
    assert len(served.requests()) == seen + 1


@pytest.mark.parametrize(
    "ask", [whoami, lambda: list_refs(REPO), lambda: resolve(REPO, "model", "main")], ids=["whoami", "refs", "info"]
)
def test_an_answer_that_is_not_json_was_damaged(served, commit, ask):
    served.faults.add(FaultRule(body="wrong"))

    with requests_sent_once(), pytest.raises(HubError, match="damaged on its way") as caught:
        ask()

    assert caught.value.passing


def test_a_creation_that_the_hub_puts_off_is_not_asked_for_without_end(served):
    served.faults.add(
        FaultRule(method="POST", status=409, message="Cannot create repo: another conflicting operation is in progress")
    )

    with requests_sent_once(), pytest.raises(HubError), hub_errors(REPO):
        HfApi().create_repo(REPO)

    assert len(served.requests()) == 1


@pytest.mark.parametrize("read", [file_content, file_digest])
def test_a_small_file_that_was_damaged_on_its_way_is_found_out(served, commit, read):
    stored = list_files(REPO, commit)["a.txt"]
    served.faults.add(FaultRule(path="*/resolve/*", body="wrong"))

    with requests_sent_once(), pytest.raises(HubError, match=r"a\.txt .* was damaged on its way") as caught:
        read(REPO, commit, "a.txt", stored)

    assert caught.value.passing


def test_afterwards_the_client_is_the_usual_one_again(served):
    with requests_sent_once():
        inner = type(get_session())
        with requests_sent_once():
            pass
        assert type(get_session()) is inner
    assert inner is not Client
    assert type(get_session()) is Client


def test_a_file_holds_just_its_own_content(served, commit, tmp_path):
    files = list_files(REPO, commit)
    (tmp_path / "a").write_bytes(b"a" * 100)

    assert files["a.txt"].holds(tmp_path / "a", "-")
    assert not files["a.txt"].holds(b"b" * 100, "-")
    assert not files["a.txt"].holds(b"a" * 99, "-")
    digest = file_digest(REPO, commit, "w.safetensors", files["w.safetensors"])
    assert files["w.safetensors"].holds(b"is not looked at", digest)
    assert not files["w.safetensors"].holds(b"w" * 100, "-")
