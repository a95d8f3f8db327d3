"""A release is one commit with a tag on it, or nothing; whatever happens, the next attempt finds what is there."""

from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.errors import (
    AmbiguousRevisionError,
    ArtifactKindError,
    CardError,
    ConfigError,
    HubError,
    HubUnreachableError,
    PublishConflictError,
    ReadBackError,
    TagExistsError,
)
from hubtune.localhub import FaultRule
from hubtune.publish.preflight import preview
from hubtune.publish.push import propose_release, push
from tests.listener import Listener
from tests.publish.conftest import REPO
from tests.served_hub import ServedHub

WEIGHTS = "adapter_model.safetensors"


def _content(hub: ServedHub, path: str, revision: str = "main") -> bytes:
    return Path(
        hub.api.hf_hub_download(REPO, path, revision=revision, cache_dir=hub.cache.with_name("read"))
    ).read_bytes()


def _paths(hub: ServedHub, revision: str = "main") -> set[str]:
    return set(hub.api.list_repo_files(REPO, revision=revision))


def test_a_release_is_one_commit_on_the_head_with_the_tag_on_it(served, new_plan, listener):
    before = served.commit(REPO, {"notes.md": b"mine"})

    made = push(new_plan("publish.message=First light"), listener)

    head, parent, *_ = served.api.list_repo_commits(REPO)
    assert (head.commit_id, head.title) == (made, "First light")
    assert parent.commit_id == before
    assert served.tags(REPO) == {"v1.0.0": made}


def test_the_hub_holds_the_planned_bytes_at_the_tag(served, new_plan, listener):
    plan = new_plan()

    push(plan, listener)

    assert _paths(served, "v1.0.0") - {".gitattributes"} == set(plan.files)
    for path, body in plan.files.items():
        assert _content(served, path, "v1.0.0") == (body if isinstance(body, bytes) else body.read_bytes()), path


def test_every_read_between_commit_and_tag_names_the_commit(served, new_plan, listener):
    made = push(new_plan(), listener)

    log = served.requests()
    (sent,) = (number for number, line in enumerate(log) if "/commit/" in str(line["path"]))
    (tagged,) = (number for number, line in enumerate(log) if "/tag/" in str(line["path"]))
    reads = [
        line for line in log[sent + 1 : tagged] if "/tree/" in str(line["path"]) or "/resolve/" in str(line["path"])
    ]
    assert reads
    assert {line["revision"] for line in reads} == {made}


def test_the_release_is_asked_for_as_its_readers_do_once_it_is_tagged(served, new_plan, listener):
    push(new_plan(), listener)

    by_name = [line for line in served.requests() if line["revision"] == "v1.0.0"]
    assert {(line["method"], str(line["path"]).split("v1.0.0")[0]) for line in by_name} == {
        ("GET", f"/api/models/{REPO}/revision/"),
        ("HEAD", f"/{REPO}/resolve/"),
    }


def test_a_branch_of_the_tag_s_name_is_refused_before_anything_is_sent(served, new_plan, listener):
    head = served.commit(REPO, {"notes.md": b"mine"})
    served.api.create_branch(REPO, branch="v1.0.0")
    sent = served.commits_sent()

    for act in (push, preview, lambda plan, progress: propose_release(plan, "demo", progress)):
        with pytest.raises(AmbiguousRevisionError, match="a branch called v1") as caught:
            act(new_plan(), listener)
        assert head in caught.value.details[0]

    assert (served.head(REPO), served.tags(REPO), served.commits_sent()) == (head, {}, sent)


def test_a_branch_that_takes_the_tag_s_name_afterwards_is_told_by_the_next_publish(served, new_plan, listener):
    other = served.commit(REPO, {"notes.md": b"mine"})
    made = push(new_plan(), listener)
    served.set_ref(REPO, "refs/heads/v1.0.0", other)

    with pytest.raises(AmbiguousRevisionError) as caught:
        push(new_plan(), listener)

    assert caught.value.details == (f"the branch v1.0.0: {other}", f"the tag v1.0.0: {made}")


def test_publishing_twice_makes_no_second_commit(served, new_plan, listener):
    first = push(new_plan(), listener)
    sent = served.commits_sent()

    assert push(new_plan(), listener) == first

    assert served.commits_sent() == sent == 1
    assert served.tags(REPO) == {"v1.0.0": first}
    assert any("already" in line for line in listener.said)


def test_a_release_is_found_again_when_the_branch_has_moved_on(served, new_plan, listener):
    first = push(new_plan(), listener)
    later = served.commit(REPO, {"notes.md": b"mine"})

    assert push(new_plan(), listener) == first
    assert served.head(REPO) == later


def test_other_content_under_a_taken_tag_is_refused_and_changes_nothing(served, new_plan, listener):
    first = push(new_plan(), listener)
    sent, log = served.commits_sent(), len(served.requests())

    with pytest.raises(TagExistsError, match=first):
        push(new_plan(weights=b"other weights"), listener)

    assert served.commits_sent() == sent
    writes = {line["path"] for line in served.requests()[log:] if line["method"] not in ("GET", "HEAD")}
    assert writes <= {"/api/repos/create"}
    assert served.head(REPO) == first
    assert served.tags(REPO) == {"v1.0.0": first}


def test_the_next_version_is_a_commit_on_the_one_before(served, new_plan, listener):
    first = push(new_plan(), listener)

    second = push(new_plan("publish.tag=v1.1.0", weights=b"other weights"), listener)

    assert [commit.commit_id for commit in served.api.list_repo_commits(REPO)][:2] == [second, first]
    assert served.tags(REPO) == {"v1.0.0": first, "v1.1.0": second}
    assert _content(served, WEIGHTS, "v1.0.0") == b"weights"


def test_somebody_s_commit_in_between_is_a_conflict_and_stays_the_head(served, new_plan):
    served.commit(REPO, {"notes.md": b"mine"})
    theirs: list[str] = []

    def overtake(note: str) -> None:
        if note == "repository exists":
            theirs.append(served.commit(REPO, {"notes.md": b"theirs"}))

    with pytest.raises(PublishConflictError, match=REPO):
        push(new_plan(), Listener(overtake))

    assert served.head(REPO) == theirs[-1]
    assert served.tags(REPO) == {}
    assert WEIGHTS not in _paths(served)
    # The one of the test's own, the other's, and one attempt.
    assert served.commits_sent() == 3


def test_an_attempt_that_ended_before_the_tag_is_finished_by_the_next(served, new_plan, listener):
    served.faults.add(FaultRule(method="POST", path="*/tag/*", drop=True))
    with pytest.raises(HubUnreachableError):
        push(new_plan(), listener, wait=[].append)
    made = served.head(REPO)
    assert served.tags(REPO) == {}
    served.faults.clear()

    assert push(new_plan(), listener) == made

    assert served.tags(REPO) == {"v1.0.0": made}
    assert served.commits_sent() == 1


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"status": 412}, {"status": 403}], ids=str)
def test_a_commit_whose_answer_was_lost_is_found_and_not_made_again(served, new_plan, listener, fault):
    served.faults.add(FaultRule(path="*/commit/*", when="after", **fault))

    made = push(new_plan(), listener)

    assert served.commits_sent() == 1
    assert served.head(REPO) == made
    assert served.tags(REPO) == {"v1.0.0": made}


def test_a_tag_whose_answer_was_lost_is_found_and_not_made_again(served, new_plan, listener):
    served.faults.add(FaultRule(path="*/tag/*", when="after", drop=True))

    made = push(new_plan(), listener)

    assert sum("/tag/" in str(line["path"]) for line in served.requests()) == 1
    assert served.tags(REPO) == {"v1.0.0": made}


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"status": 412}, {"status": 409}], ids=str)
def test_a_hub_that_fails_again_and_again_is_left_alone_after_five_attempts(served, new_plan, listener, fault):
    served.faults.add(FaultRule(path="*/commit/*", **fault))
    waits: list[float] = []

    with pytest.raises(HubError):
        push(new_plan(), listener, wait=waits.append)

    assert served.commits_sent() == 5
    assert waits == [1, 2, 4, 8]
    assert [line for line in listener.said if "Waiting 8 s before attempt 5 of 5" in line]
    assert served.tags(REPO) == {}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_hub_is_asked_again_when_it_said_that_it_may_be(served, new_plan, listener, form):
    served.faults.add(FaultRule(path="*/commit/*", first=2, status=429, retry_after=30, retry_after_as=form))
    waits: list[float] = []

    push(new_plan(), listener, wait=waits.append)

    # Dates have whole seconds.
    assert len(waits) == 2
    assert set(waits) <= {30, 31}
    assert any("too many requests" in line and "Waiting 3" in line for line in listener.said)


def test_a_hub_that_asks_for_an_hour_is_not_waited_for(served, new_plan, listener):
    served.faults.add(FaultRule(path="*/commit/*", status=503, retry_after=3600))
    waits: list[float] = []

    with pytest.raises(HubError) as caught:
        push(new_plan(), listener, wait=waits.append)

    assert (waits, served.commits_sent()) == ([], 1)
    assert "3,600 seconds" in str(caught.value.hint)


def test_an_upload_that_fails_is_not_repeated_by_the_client_too(served, new_plan, listener):
    served.faults.add(FaultRule(method="PUT", status=503))

    with pytest.raises(HubError):
        push(new_plan(), listener, wait=[].append)

    assert sum(line["method"] == "PUT" for line in served.requests()) == 5


def test_a_file_damaged_on_its_way_back_once_is_read_again(served, new_plan, listener):
    served.faults.add(FaultRule(method="GET", path="*/adapter_model.safetensors", body="wrong", nth=1))
    served.faults.add(FaultRule(method="GET", path="*/README.md", body="wrong", nth=1))

    made = push(new_plan(), listener, wait=[].append)

    assert served.tags(REPO) == {"v1.0.0": made}


def test_a_small_file_that_changed_on_the_way_is_found_and_the_commit_not_tagged(served, new_plan, listener):
    plan = new_plan()
    plan.files["tokenizer_config.json"] = b'{"eos_token": "</S>"}'

    with pytest.raises(ReadBackError) as caught:
        push(plan, listener)

    assert [line.partition(":")[0] for line in caught.value.details] == ["tokenizer_config.json"]
    assert served.tags(REPO) == {}


def test_a_file_lost_on_the_way_is_found_and_the_commit_not_tagged(served, new_plan, listener):
    plan = new_plan()
    del plan.files[WEIGHTS]

    with pytest.raises(ReadBackError) as caught:
        push(plan, listener)

    assert caught.value.details == (f"{WEIGHTS}: missing",)
    assert served.tags(REPO) == {}

    # The commit is this release's own, so the next attempt mends it.
    made = push(new_plan(), listener)
    assert served.tags(REPO) == {"v1.0.0": made}


def test_weights_that_the_hub_serves_damaged_are_found_and_the_commit_not_tagged(served, new_plan):
    plan = new_plan()

    def damage(note: str) -> None:
        if note.startswith("commit"):
            (stored,) = (served.root / "objects").rglob(plan.digests[WEIGHTS])
            stored.write_bytes(b"WEIGHTS")

    with pytest.raises(ReadBackError, match=REPO):
        push(plan, Listener(damage))

    assert served.tags(REPO) == {}


def test_files_of_the_release_before_that_are_gone_are_deleted_and_a_user_s_own_stay(
    served, new_plan, listener, base_folder: Path
):
    push(new_plan(), listener)
    served.commit(REPO, {"notes.md": b"mine", "assets/logo.svg": b"<svg/>"})
    (base_folder / "chat_template.jinja").unlink()

    push(new_plan("publish.tag=v1.1.0"), listener)

    paths = _paths(served)
    assert "chat_template.jinja" not in paths
    assert {"notes.md", "assets/logo.svg", "tokenizer.json"} <= paths
    assert "chat_template.jinja" in _paths(served, "v1.0.0")


@pytest.mark.parametrize("manifest", [b"not JSON", b'{"files": {"notes.md": "0"}}', b"\xff\xfe"])
def test_a_manifest_that_is_not_ours_deletes_nothing(served, new_plan, listener, manifest: bytes):
    served.commit(REPO, {"notes.md": b"mine", "hubtune.json": manifest})

    push(new_plan(), listener)

    assert "notes.md" in _paths(served)


def test_a_card_that_the_hub_does_not_accept_stops_the_release_before_anything_is_sent(served, new_plan, listener):
    plan = new_plan()
    plan.files["README.md"] = b"---\nlicense: [not, a, license]\n---\n# Card\n"

    with pytest.raises(CardError, match="does not accept the card"):
        push(plan, listener)

    assert served.commits_sent() == 0
    assert not list(served.root.rglob(plan.digests[WEIGHTS]))
    assert served.tags(REPO) == {}


def test_a_new_repository_is_private_when_asked(served, new_plan, listener):
    push(new_plan("publish.private=true"), listener)

    assert served.api.model_info(REPO).private is True


def test_a_release_may_go_to_a_branch_of_its_own_which_starts_at_main(served, new_plan, listener):
    before = served.commit(REPO, {"notes.md": b"mine"})

    made = push(new_plan("publish.branch=next/one"), listener)

    branches = {ref.name: ref.target_commit for ref in served.api.list_repo_refs(REPO).branches}
    assert branches == {"main": before, "next/one": made}
    assert [commit.commit_id for commit in served.api.list_repo_commits(REPO, revision="next/one")][:2] == [
        made,
        before,
    ]
    assert served.tags(REPO) == {"v1.0.0": made}


def test_the_next_release_on_a_branch_is_a_commit_on_its_head(served, new_plan, listener):
    first = push(new_plan("publish.branch=next"), listener)
    served.commit(REPO, {"notes.md": b"mine"})

    second = push(new_plan("publish.branch=next", "publish.tag=v1.1.0", weights=b"other"), listener)

    assert [commit.commit_id for commit in served.api.list_repo_commits(REPO, revision="next")][:2] == [second, first]


MERGED = {"config.json": b"{}", "model-00001-of-00002.safetensors": b"w"}


@pytest.mark.parametrize("branch", ["main", "next"])
def test_an_adapter_is_not_put_where_whole_weights_are(served, new_plan, listener, branch: str):
    head = served.commit(REPO, MERGED)

    with pytest.raises(ArtifactKindError, match="a whole model") as caught:
        push(new_plan(f"publish.branch={branch}"), listener)

    assert f"--push {REPO}-adapter" in str(caught.value.hint)
    assert served.head(REPO) == head
    assert [ref.name for ref in served.api.list_repo_refs(REPO).branches] == ["main"]


@pytest.mark.parametrize("branch", ["main", "next"])
def test_whole_weights_are_not_put_where_an_adapter_was_released(served, new_plan, listener, branch: str):
    push(new_plan(), listener)
    head = served.head(REPO)

    with pytest.raises(ArtifactKindError, match="an adapter"):
        push(replace(new_plan("publish.tag=v2.0.0", f"publish.branch={branch}"), artifact="merged"), listener)

    assert served.head(REPO) == head


def test_files_that_are_no_artifact_stand_in_nobody_s_way(served, new_plan, listener):
    served.commit(REPO, {"config.json": b"{}", "data.safetensors": b"x", "README.md": b"# Mine\n"})

    push(new_plan(), listener)

    assert set(served.tags(REPO)) == {"v1.0.0"}


def test_another_release_that_waits_for_the_same_tag_is_left_to_whoever_made_it(served, new_plan, listener):
    served.faults.add(FaultRule(method="POST", path="*/tag/*", status=500))
    with pytest.raises(HubError):
        push(new_plan(), listener, wait=[].append)
    served.faults.clear()
    head, sent = served.head(REPO), served.commits_sent()

    with pytest.raises(PublishConflictError, match=head) as caught:
        push(new_plan(weights=b"other weights"), listener)

    assert "--tag v1.0.1" in str(caught.value.hint)
    assert (served.head(REPO), served.commits_sent()) == (head, sent)
    assert push(new_plan(), listener) == head


def test_what_is_to_be_private_is_not_put_where_all_can_read_it(served, new_plan, listener):
    head = served.commit(REPO, {"notes.md": b"mine"})

    with pytest.raises(ConfigError, match="exists and is public"):
        push(new_plan("publish.private=true"), listener)

    assert (served.head(REPO), served.tags(REPO)) == (head, {})
    served.api.update_repo_settings(REPO, private=True)
    made = push(new_plan("publish.private=true"), listener)
    assert served.tags(REPO) == {"v1.0.0": made}
