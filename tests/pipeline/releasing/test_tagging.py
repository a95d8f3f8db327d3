"""A tag goes on a commit whose manifest and card name it; where they do not, three files are made anew beside it."""

import hashlib

import pytest

from hubtune.errors import ConfigError, PermissionDeniedError, RecordError, RevisionNotFoundError, TagExistsError
from hubtune.pipeline.releasing.tagging import tag_release
from hubtune.publish import retag as retag_module
from hubtune.records.published import MANIFEST
from hubtune.records.release import Manifest
from tests.pipeline.releasing.conftest import REPO, WEIGHTS


class _KilledError(BaseException):
    """Ends the process where it stands."""


@pytest.fixture
def contents(served):
    """Path to content of all that a revision holds."""

    def read(revision: str) -> dict[str, bytes]:
        folder = served.api.snapshot_download(REPO, revision=revision, cache_dir=served.cache.with_name("read"))
        from pathlib import Path

        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in Path(folder).rglob("*")
            if path.is_file() and path.name != ".gitattributes"
        }

    return read


def _branches(served) -> dict[str, str]:
    return {ref.name: ref.target_commit for ref in served.api.list_repo_refs(REPO).branches}


def test_a_commit_that_names_the_tag_gets_it_and_nothing_is_committed(served, release, listener):
    made = release("publish.tag=v1.1.0")
    served.api.delete_tag(REPO, tag="v1.1.0")
    sent = served.commits_sent()

    record = tag_release(REPO, "main", "v1.1.0", None, listener)

    assert (record.commit, record.source, record.existed, record.checked) == (made, made, False, True)
    assert served.tags(REPO) == {"v1.1.0": made}
    assert served.commits_sent() == sent
    assert any(made in line for line in listener.said)


def test_another_tag_changes_card_config_and_manifest_alone(served, release, listener, contents):
    first = release()

    record = tag_release(REPO, first, "v1.2.0", None, listener)

    before, after = contents("v1.0.0"), contents("v1.2.0")
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == {
        "README.md",
        "hubtune.json",
        "records/config.yaml",
    }
    blobs = [served.api.get_paths_info(REPO, [WEIGHTS], revision=tag)[0].blob_id for tag in ("v1.0.0", "v1.2.0")]
    assert blobs[0] == blobs[1]
    assert served.tags(REPO) == {"v1.0.0": first, "v1.2.0": record.commit}
    assert [line.commit_id for line in served.api.list_repo_commits(REPO)][:2] == [record.commit, first]
    assert served.head(REPO) == record.commit


def test_the_new_release_is_to_the_byte_what_publishing_under_that_tag_makes(
    served, release, plan_of, listener, contents
):
    release()

    tag_release(REPO, "main", "v1.2.0", None, listener)

    plan = plan_of("publish.tag=v1.2.0")
    planned = {path: body if isinstance(body, bytes) else body.read_bytes() for path, body in plan.files.items()}
    assert contents("v1.2.0") == planned
    assert b'tag = "v1.2.0"' in planned["README.md"]


def test_every_digest_of_the_new_manifest_is_right(served, release, listener, contents):
    release()
    tag_release(REPO, "main", "v1.2.0", None, listener)

    found = contents("v1.2.0")
    manifest = Manifest.model_validate_json(found.pop(MANIFEST))

    assert manifest.files == {path: hashlib.sha256(body).hexdigest() for path, body in found.items()}
    assert manifest.config == manifest.files["records/config.yaml"]
    assert manifest.tag == "v1.2.0"


def test_a_commit_behind_the_head_is_tagged_beside_main_and_the_branch_is_gone(served, release, listener, contents):
    first = release()
    head = served.commit(REPO, {"notes.md": b"mine"})

    record = tag_release(REPO, first, "v1.2.0", None, listener)

    assert _branches(served) == {"main": head}
    parent = served.api.list_repo_commits(REPO, revision=record.commit)[1].commit_id
    assert parent == first
    assert "notes.md" not in contents("v1.2.0")
    assert any("Deleted the branch" in line for line in listener.said)


@pytest.mark.parametrize("behind", [False, True], ids=["head", "behind the head"])
@pytest.mark.parametrize("name", ["create_tag", "clear_branch"])
def test_what_was_cut_off_is_finished_without_a_second_commit(
    served, release, listener, monkeypatch, behind: bool, name: str
):
    first = release()
    if behind:
        served.commit(REPO, {"notes.md": b"mine"})

    def killed(*args: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(retag_module, name, killed)
        with pytest.raises(_KilledError):
            tag_release(REPO, first, "v1.2.0", None, listener)
    sent = served.commits_sent()

    record = tag_release(REPO, first, "v1.2.0", None, listener)

    assert served.commits_sent() == sent
    assert served.tags(REPO)["v1.2.0"] == record.commit
    assert set(_branches(served)) == {"main"}


def test_a_cut_off_attempt_is_found_on_main_although_others_committed_since(served, release, listener, monkeypatch):
    first = release()

    def killed(*args: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(retag_module, "create_tag", killed)
        with pytest.raises(_KilledError):
            tag_release(REPO, first, "v1.2.0", None, listener)
    made = served.head(REPO)
    served.commit(REPO, {"notes.md": b"mine"})
    sent = served.commits_sent()

    assert tag_release(REPO, first, "v1.2.0", None, listener).commit == made
    assert served.commits_sent() == sent


def test_tagging_twice_changes_nothing(served, release, listener):
    first = release()
    made = tag_release(REPO, first, "v1.2.0", None, listener)
    state = (served.tags(REPO), _branches(served), served.commits_sent())

    again = tag_release(REPO, first, "v1.2.0", None, listener)

    assert again == made.model_copy(update={"existed": True})
    assert (served.tags(REPO), _branches(served), served.commits_sent()) == state


def test_a_tag_on_another_release_is_refused_and_stays(served, release, listener):
    first = release()
    second = release("publish.tag=v1.1.0", weights=b"other weights")

    for commit, tag in ((first, "v1.1.0"), (second, "v1.0.0")):
        with pytest.raises(TagExistsError, match="never moved"):
            tag_release(REPO, commit, tag, None, listener)

    assert served.tags(REPO) == {"v1.0.0": first, "v1.1.0": second}


def test_who_may_only_read_is_told_before_anything_is_looked_at(guarded_hub, release, listener, monkeypatch):
    release()
    monkeypatch.setenv("HF_TOKEN", "hf_robrobrob")
    seen = len(guarded_hub.requests())

    with pytest.raises(PermissionDeniedError, match="role `read`"):
        tag_release(REPO, "main", "v1.2.0", None, listener)

    assert [line["path"] for line in guarded_hub.requests()[seen:]] == ["/api/whoami-v2"]


def test_a_release_of_another_repository_is_refused(served, release, listener):
    made = release("publish.repo=org/elsewhere")
    folder = served.api.snapshot_download("org/elsewhere", revision=made, cache_dir=served.cache)
    served.api.create_repo(REPO)
    served.api.upload_folder(repo_id=REPO, folder_path=folder)

    with pytest.raises(RecordError, match="a release of org/elsewhere"):
        tag_release(REPO, "main", "v1.0.0", None, listener)
    assert served.tags(REPO) == {}


def test_a_release_that_was_changed_by_hand_is_refused_with_the_file(served, release, listener):
    release()
    served.commit(REPO, {"README.md": b"---\nlicense: mit\n---\nmine\n"})

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
    (tmp_path / "sections" / "more.md.j2").write_text("More.\n")
    made = release(f"card.templates={tmp_path}/sections")

    with pytest.raises(RecordError, match="section templates") as caught:
        tag_release(REPO, made, "v1.2.0", None, listener)

    assert "hubtune publish RUN" in str(caught.value.hint)
    assert tag_release(REPO, made, "v1.0.0", None, listener).commit == made


@pytest.mark.parametrize("tag", ["1.2", "latest", "v1"])
def test_a_tag_that_is_no_version_is_refused(served, listener, tag: str):
    with pytest.raises(ConfigError, match="is not a version"):
        tag_release(REPO, "main", tag, None, listener)


def test_a_branch_that_is_not_there_is_told_with_those_that_are(served, release, listener):
    release()

    with pytest.raises(RevisionNotFoundError, match=r"no branch 'v1\.0\.0'") as caught:
        tag_release(REPO, "v1.0.0", "v1.2.0", None, listener)

    assert caught.value.details[0].startswith("branch main on ")
