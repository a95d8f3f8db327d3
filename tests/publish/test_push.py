"""A release is one commit with a tag on it, or nothing; whatever happens, the next attempt finds what is there."""

from pathlib import Path

import pytest

from hubtune.errors import CardError, HubUnreachableError, PublishConflictError, ReadBackError, TagExistsError
from hubtune.publish import push as push_module
from hubtune.publish.push import push
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
    reads = [line for line in log[sent + 1 :] if "/tree/" in str(line["path"]) or "/resolve/" in str(line["path"])]
    assert reads
    assert {line["revision"] for line in reads} == {made}


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


def test_somebody_s_commit_in_between_is_a_conflict_and_stays_the_head(served, new_plan, listener, monkeypatch):
    served.commit(REPO, {"notes.md": b"mine"})
    theirs: list[str] = []
    commit = push_module.commit

    def overtaken(*args: object, **options: object) -> str:
        theirs.append(served.commit(REPO, {"notes.md": b"theirs %d" % len(theirs)}))
        return commit(*args, **options)

    monkeypatch.setattr(push_module, "commit", overtaken)

    with pytest.raises(PublishConflictError, match=REPO):
        push(new_plan(), listener)

    assert served.head(REPO) == theirs[-1]
    assert served.tags(REPO) == {}
    assert WEIGHTS not in _paths(served)


def test_an_attempt_that_ended_before_the_tag_is_finished_by_the_next(served, new_plan, listener, monkeypatch):
    with monkeypatch.context() as patch:

        def cut_off(*_: object) -> None:
            raise HubUnreachableError("cut off")

        patch.setattr(push_module, "create_tag", cut_off)
        with pytest.raises(HubUnreachableError):
            push(new_plan(), listener)
    made = served.head(REPO)
    assert served.tags(REPO) == {}

    assert push(new_plan(), listener) == made

    assert served.tags(REPO) == {"v1.0.0": made}
    assert served.commits_sent() == 1


def test_a_commit_whose_answer_was_lost_is_found_and_not_made_again(served, new_plan, listener, monkeypatch):
    commit = push_module.commit

    def answer_lost(*args: object, **options: object) -> str:
        commit(*args, **options)
        raise HubUnreachableError("cut off")

    monkeypatch.setattr(push_module, "commit", answer_lost)

    made = push(new_plan(), listener)

    assert served.commits_sent() == 1
    assert served.head(REPO) == made
    assert served.tags(REPO) == {"v1.0.0": made}


def test_a_hub_that_fails_again_and_again_is_left_alone_after_three_attempts(served, new_plan, listener, monkeypatch):
    attempts = 0

    def failing(*_: object, **__: object) -> str:
        nonlocal attempts
        attempts += 1
        raise HubUnreachableError("cut off")

    monkeypatch.setattr(push_module, "commit", failing)

    with pytest.raises(HubUnreachableError):
        push(new_plan(), listener)

    assert attempts == 3
    assert served.tags(REPO) == {}


def test_a_small_file_that_changed_on_the_way_is_found_and_the_commit_not_tagged(
    served, new_plan, listener, monkeypatch
):
    commit = push_module.commit

    def damaging(repo: str, files: dict[str, object], **options: object) -> str:
        return commit(repo, {**files, "tokenizer_config.json": b'{"eos_token": "</S>"}'}, **options)

    monkeypatch.setattr(push_module, "commit", damaging)

    with pytest.raises(ReadBackError) as caught:
        push(new_plan(), listener)

    assert [line.partition(":")[0] for line in caught.value.details] == ["tokenizer_config.json"]
    assert served.tags(REPO) == {}


def test_a_file_lost_on_the_way_is_found_and_the_commit_not_tagged(served, new_plan, listener, monkeypatch):
    commit = push_module.commit

    def losing(repo: str, files: dict[str, object], **options: object) -> str:
        return commit(repo, {path: body for path, body in files.items() if path != WEIGHTS}, **options)

    monkeypatch.setattr(push_module, "commit", losing)

    with pytest.raises(ReadBackError) as caught:
        push(new_plan(), listener)

    assert caught.value.details == (f"{WEIGHTS}: missing",)
    assert served.tags(REPO) == {}


def test_weights_that_the_hub_serves_damaged_are_found_and_the_commit_not_tagged(
    served, new_plan, listener, monkeypatch
):
    plan, commit = new_plan(), push_module.commit
    digest = plan.digests[WEIGHTS]

    def damaging(*args: object, **options: object) -> str:
        made = commit(*args, **options)
        (stored,) = (served.root / "objects").rglob(digest)
        stored.write_bytes(b"WEIGHTS")
        return made

    monkeypatch.setattr(push_module, "commit", damaging)

    with pytest.raises(ReadBackError, match=REPO):
        push(plan, listener)

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
    plan.files["README.md"] = b"---\nlicense: [not, a, licence]\n---\n# Card\n"

    with pytest.raises(CardError, match="does not accept the card"):
        push(plan, listener)

    assert served.commits_sent() == 0
    assert not list(served.root.rglob(plan.digests[WEIGHTS]))
    assert served.tags(REPO) == {}


def test_a_new_repository_is_private_when_asked(served, new_plan, listener):
    push(new_plan("publish.private=true"), listener)

    assert served.api.model_info(REPO).private is True
