"""A tag goes on a commit whose manifest and card name it; where they do not, three files are made anew beside it."""

import hashlib
from pathlib import Path

import pytest

from hubtune.errors import (
    ConfigError,
    PermissionDeniedError,
    PublishConflictError,
    RecordError,
    RevisionNotFoundError,
    TagExistsError,
)
from hubtune.records.release import MANIFEST, Manifest
from hubtune.release import tag as retag_module
from hubtune.release.tag import tag_release
from tests.release.conftest import REPO, WEIGHTS


class _KilledError(BaseException):
    """Ends the process where it stands."""


def _cut_off(monkeypatch, name: str, commit: str, listener) -> None:
    """Tags a commit, in a process that ends when it comes to a function of the stage."""

    def killed(*args: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(retag_module, name, killed)
        with pytest.raises(_KilledError):
            tag_release(REPO, commit, "v1.2.0", None, listener)


def test_a_commit_that_names_the_tag_gets_it_and_nothing_is_committed(released, listener):
    released.api.delete_tag(REPO, tag="v1.0.0")

    record = tag_release(REPO, "main", "v1.0.0", None, listener)

    assert (record.commit, record.source, record.existed) == (released.first, released.first, False)
    assert record.checked
    assert released.tags(REPO) == {"v1.0.0": released.first}
    assert released.commits_sent() == 0
    assert f"main is at {released.first}" in listener.said


def test_another_tag_changes_card_config_and_manifest_alone_and_makes_what_publishing_would(released, plan, listener):
    record = tag_release(REPO, "main", "v1.2.0", None, listener)

    before, after = released.contents("v1.0.0"), released.contents("v1.2.0")
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == {
        "README.md",
        "hubtune.json",
        "records/config.yaml",
    }
    blobs = [released.api.get_paths_info(REPO, [WEIGHTS], revision=tag)[0].blob_id for tag in ("v1.0.0", "v1.2.0")]
    assert blobs[0] == blobs[1]
    assert released.tags(REPO) == {"v1.0.0": released.first, "v1.2.0": record.commit}
    head, parent, *_ = released.api.list_repo_commits(REPO)
    assert (head.commit_id, parent.commit_id) == (record.commit, released.first)

    planned = plan("publish.tag=v1.2.0").files
    assert after == {path: body if isinstance(body, bytes) else body.read_bytes() for path, body in planned.items()}
    assert b'tag = "v1.2.0"' in after["README.md"]
    manifest = Manifest.model_validate_json(after.pop(MANIFEST))
    assert manifest.files == {path: hashlib.sha256(body).hexdigest() for path, body in after.items()}
    assert (manifest.config, manifest.tag) == (manifest.files["records/config.yaml"], "v1.2.0")


def test_a_commit_behind_the_head_is_tagged_beside_main_and_the_branch_is_gone(released, listener):
    head = released.commit_file("notes.md")

    record = tag_release(REPO, released.first, "v1.2.0", None, listener)

    assert released.branches() == {"main": head}
    assert released.api.list_repo_commits(REPO, revision=record.commit)[1].commit_id == released.first
    assert "notes.md" not in released.contents("v1.2.0")
    assert any("Deleted the branch hubtune-v1.2.0" in line for line in listener.said)


@pytest.mark.parametrize(
    ("behind", "name"),
    [(False, "create_tag"), (True, "create_tag"), (True, "clear_branch")],
    ids=["head, before the tag", "beside main, before the tag", "beside main, after the tag"],
)
def test_what_was_cut_off_is_finished_without_a_second_commit(released, listener, monkeypatch, behind: bool, name: str):
    if behind:
        released.commit_file("notes.md")
    _cut_off(monkeypatch, name, released.first, listener)
    sent = released.commits_sent()

    record = tag_release(REPO, released.first, "v1.2.0", None, listener)

    assert released.commits_sent() == sent
    assert released.tags(REPO)["v1.2.0"] == record.commit
    assert set(released.branches()) == {"main"}


def test_a_cut_off_attempt_is_found_on_main_although_others_committed_since(released, listener, monkeypatch):
    _cut_off(monkeypatch, "create_tag", released.first, listener)
    made = released.head(REPO)
    released.commit_file("notes.md")
    sent = released.commits_sent()

    assert tag_release(REPO, released.first, "v1.2.0", None, listener).commit == made
    assert released.commits_sent() == sent


def test_tagging_and_bumping_twice_changes_nothing(released, listener):
    made = tag_release(REPO, released.first, "v1.0.1", None, listener)
    state = (released.tags(REPO), released.branches(), released.commits_sent())

    again = made.model_copy(update={"existed": True})
    assert tag_release(REPO, released.first, "v1.0.1", None, listener) == again
    assert tag_release(REPO, released.first, None, "patch", listener).tag == "v1.0.0"
    assert tag_release(REPO, "main", None, "patch", listener).commit == made.commit
    assert (released.tags(REPO), released.branches(), released.commits_sent()) == state

    released.api.delete_tag(REPO, tag="v1.0.0")
    assert tag_release(REPO, released.first, None, "patch", listener) == again
    assert list(released.tags(REPO)) == ["v1.0.1"]


def test_a_commit_whose_answer_was_lost_is_found_and_not_made_again(released, listener, monkeypatch):
    commit, calls = retag_module.commit, []

    def answer_lost(*args: object, **options: object) -> str:
        calls.append(commit(*args, **options))
        raise PublishConflictError("the Hub answered to a second try of the client")

    monkeypatch.setattr(retag_module, "commit", answer_lost)

    assert tag_release(REPO, "main", "v1.2.0", None, listener).commit == calls[0]
    assert len(calls) == 1


def test_a_branch_of_somebody_else_is_in_the_way_and_stays(released, listener):
    released.commit_file("notes.md")
    released.api.create_branch(REPO, branch="hubtune-v1.2.0")
    before = released.branches()

    with pytest.raises(PublishConflictError, match=r"hubtune-v1\.2\.0") as caught:
        tag_release(REPO, released.first, "v1.2.0", None, listener)

    assert "Delete the branch" in str(caught.value.hint)
    assert (released.branches(), list(released.tags(REPO))) == (before, ["v1.0.0"])


def test_a_tag_on_another_release_is_refused_and_stays(released, release, listener):
    second = release("publish.tag=v1.1.0", weights=b"other weights")
    # The same weights in a commit of its own.
    again = tag_release(REPO, released.first, "v1.0.1", None, listener).commit

    for commit, tag in ((released.first, "v1.1.0"), (second, "v1.0.0"), (again, "v1.0.0")):
        with pytest.raises(TagExistsError, match="never moved"):
            tag_release(REPO, commit, tag, None, listener)

    assert released.tags(REPO) == {"v1.0.0": released.first, "v1.0.1": again, "v1.1.0": second}


@pytest.mark.parametrize("token", ["hf_robrobrob", "hf_patpatpat"])
def test_who_may_not_write_is_told_before_anything_is_looked_at(guarded_hub, listener, monkeypatch, token: str):
    monkeypatch.setenv("HF_TOKEN", token)

    with pytest.raises(PermissionDeniedError, match="the token has the role"):
        tag_release(REPO, "main", "v1.2.0", None, listener)

    assert [line["path"] for line in guarded_hub.requests()] == ["/api/whoami-v2"]


def test_a_release_of_another_repository_is_refused(released, listener):
    copied = "org/copied"
    folder = released.api.snapshot_download(REPO, revision="v1.0.0", cache_dir=released.cache)
    released.commit(copied, {"hubtune.json": (Path(folder) / "hubtune.json").read_bytes()})

    with pytest.raises(RecordError, match="a release of org/tuned"):
        tag_release(copied, "main", "v1.0.0", None, listener)
    assert released.tags(copied) == {}


def test_a_release_that_was_changed_by_hand_is_refused_with_the_file(released, listener):
    released.commit_file("README.md")

    with pytest.raises(RecordError, match="does not hold what its manifest says") as caught:
        tag_release(REPO, "main", "v1.2.0", None, listener)

    assert [line.partition(":")[0] for line in caught.value.details] == ["README.md"]


def test_what_hubtune_did_not_make_is_tagged_with_a_warning(served, listener):
    made = served.commit(REPO, {"model.bin": b"weights"})

    record = tag_release(REPO, "main", "v1.0.0", None, listener)

    assert (record.commit, record.checked) == (made, False)
    assert served.tags(REPO) == {"v1.0.0": made}
    assert any("cannot be verified" in line for line in listener.warned)


def test_a_card_of_own_templates_is_refused_for_another_tag_and_not_for_its_own(served, release, listener, tmp_path):
    (tmp_path / "sections").mkdir()
    made = release(f"card.templates={tmp_path}/sections")

    with pytest.raises(RecordError, match="section templates") as caught:
        tag_release(REPO, made, "v1.2.0", None, listener)

    assert "hubtune publish RUN" in str(caught.value.hint)
    assert tag_release(REPO, made, "v1.0.0", None, listener).commit == made


@pytest.mark.parametrize("tag", ["1.2", "latest", "v1"])
def test_a_tag_that_is_no_version_is_refused_before_the_hub_is_asked(tag: str, listener):
    with pytest.raises(ConfigError, match="is not a version"):
        tag_release(REPO, "main", tag, None, listener)


def test_a_branch_that_is_not_there_is_told_with_those_that_are(released, listener):
    with pytest.raises(RevisionNotFoundError, match=r"no branch 'v1\.0\.0'") as caught:
        tag_release(REPO, "v1.0.0", "v1.2.0", None, listener)

    assert caught.value.details == (f"branch main on {released.first}",)
