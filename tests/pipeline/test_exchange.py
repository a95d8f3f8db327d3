"""The branch through which this machine and a job talk: private, written once for each commit, taken by one job."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubtune import __version__
from hubtune.errors import ConfigError, HubError, RecordError, RemoteJobError
from hubtune.localhub.fault_injection import FaultRule
from hubtune.pipeline.exchange import CONFIG, LOCK, REQUEST, TAKEN, Exchange
from hubtune.pipeline.remote_job import do_request
from hubtune.records.remote import RemoteRequest
from tests.listener import Listener
from tests.served_hub import ServedHub, serve

REPO = "ann/hubtune-jobs"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedHub]:
    with serve(tmp_path / "hub", tmp_path / "cache", monkeypatch, guarded=True) as hub:
        yield hub


@pytest.fixture
def exchange(hub: ServedHub, listener: Listener) -> Exchange:
    return Exchange(REPO, "run-1", listener, wait=lambda _: None)


@pytest.fixture
def request_of(exchange: Exchange) -> Callable[..., str]:
    """Puts a request onto the branch; gives its commit."""

    def put(version: str = __version__) -> str:
        request = RemoteRequest(version=version, branch="run-1", image="an/image", flavor="cpu-basic")
        files = {CONFIG: b"base: {}\n", LOCK: b"{}\n", REQUEST: request.to_json().encode()}
        return exchange.put(files, exchange.open(), "Request")

    return put


def test_the_repository_is_private_and_opening_it_again_changes_nothing(hub, exchange):
    first = exchange.open()
    assert hub.api.dataset_info(REPO).private is True
    assert exchange.open() == first


def test_a_public_repository_is_refused(hub, exchange):
    hub.api.create_repo(REPO, repo_type="dataset", private=False)
    with pytest.raises(ConfigError, match="is public") as caught:
        exchange.open()
    assert "Make it private" in caught.value.hint


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}], ids=["no answer", "503"])
def test_a_commit_whose_answer_was_lost_is_found_and_not_made_again(hub, exchange, fault):
    parent = exchange.open()
    hub.faults.add(FaultRule(path="*/commit/*", when="after", nth=1, **fault))
    made = exchange.put({"a.txt": b"one"}, parent, "Put")
    assert made == exchange.head() != parent
    assert len(hub.api.list_repo_commits(REPO, repo_type="dataset", revision="run-1")) == 2


def test_a_branch_that_somebody_else_wrote_to_is_not_written_over(hub, exchange):
    parent = exchange.open()
    hub.api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=REPO, repo_type="dataset", revision="run-1")
    with pytest.raises(RemoteJobError, match="has written to the branch"):
        exchange.put({"a.txt": b"one"}, parent, "Put")


def test_a_run_comes_back_byte_for_byte_and_without_what_was_left_out(exchange, tmp_path):
    run = tmp_path / "run"
    contents = {"training.json": b"{}", "adapter/adapter_model.safetensors": bytes(range(256)) * 50, "empty": b""}
    for name, content in {**contents, "checkpoints/1/weights": b"x"}.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    commit = exchange.put_run(run, exchange.open(), "The run", leave_out=("checkpoints",))
    target = tmp_path / "fetched"
    assert sorted(exchange.fetch_run(commit, target)) == sorted(contents)
    assert {name: (target / name).read_bytes() for name in contents} == contents
    (run / "empty").unlink()
    again = exchange.put_run(run, commit, "The run again", leave_out=("checkpoints",))
    assert "empty" not in exchange.fetch_run(again, tmp_path / "again")


def test_bytes_that_are_damaged_on_their_way_are_fetched_again(hub, exchange, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "weights.safetensors").write_bytes(b"w" * 20_000)
    commit = exchange.put_run(run, exchange.open(), "The run", leave_out=())
    hub.faults.add(FaultRule(method="GET", regex=r"/api/large-files/.*|.*/resolve/.*", body="wrong", nth=1))
    exchange.fetch_run(commit, tmp_path / "fetched")
    digest = hashlib.sha256((tmp_path / "fetched" / "weights.safetensors").read_bytes()).hexdigest()
    assert digest == hashlib.sha256(b"w" * 20_000).hexdigest()


def test_a_deleted_branch_is_told_as_such(hub, exchange):
    exchange.open()
    hub.api.delete_branch(REPO, branch="run-1", repo_type="dataset")
    with pytest.raises(HubError, match="no branch run-1") as caught:
        exchange.head()
    assert "start a new run" in caught.value.hint


def test_only_the_first_of_two_jobs_does_a_request(exchange, request_of, monkeypatch, listener):
    commit = request_of()
    monkeypatch.setenv("JOB_ID", "1" * 24)
    # It takes the request, and then finds that this config cannot be used.
    with pytest.raises(ConfigError):
        do_request(REPO, commit, listener)
    taken = exchange.head()
    monkeypatch.setenv("JOB_ID", "2" * 24)
    with pytest.raises(RemoteJobError, match="Another job"):
        do_request(REPO, commit, listener)
    assert exchange.head() == taken
    # Until it is known to have ended: then there is a new commit to ask for.
    request = exchange.read(taken, [REQUEST])[REQUEST]
    with pytest.raises(RemoteJobError, match="Another job"):
        exchange.renew(request, ["3" * 24])
    again = exchange.renew(request, ["1" * 24])
    assert again not in (commit, taken)
    with pytest.raises(ConfigError):
        do_request(REPO, again, listener)
    assert b"2" * 24 in exchange.read(exchange.head(), [TAKEN])[TAKEN]
    assert exchange.renew(b"another", ["2" * 24]) == exchange.head()


def test_a_job_with_another_version_does_nothing(exchange, request_of, monkeypatch, listener):
    commit = request_of("99.0.0")
    monkeypatch.setenv("JOB_ID", "1" * 24)
    with pytest.raises(RemoteJobError, match=r"is for hubtune 99\.0\.0, and the job has"):
        do_request(REPO, commit, listener)
    assert exchange.head() == commit


def test_what_is_no_job_does_nothing(request_of, monkeypatch, listener):
    commit = request_of()
    monkeypatch.delenv("JOB_ID", raising=False)
    with pytest.raises(RemoteJobError, match="no JOB_ID"):
        do_request(REPO, commit, listener)


@pytest.mark.parametrize("content", [b"{}", b"no JSON", b"x" * (5 << 20)], ids=["empty", "text", "long"])
def test_a_request_that_is_none_is_refused(hub, exchange, monkeypatch, listener, content):

    commit = exchange.put({CONFIG: b"", LOCK: b"", REQUEST: content}, exchange.open(), "Request")
    monkeypatch.setenv("JOB_ID", "1" * 24)
    with pytest.raises((RecordError, RemoteJobError)):
        do_request(REPO, commit, listener)
