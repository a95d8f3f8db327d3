import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

WEIGHTS = b"\0weights" * 64
OTHER = b"\0other" * 64


def sha(content):
    return hashlib.sha256(content).hexdigest()


def add(api, repo, **files):
    operations = [CommitOperationAdd(name.replace("_", "/") + ".bin", content) for name, content in files.items()]
    return api.create_commit(repo, operations, commit_message=f"add {', '.join(files)}").oid


def test_a_squashed_branch_has_one_commit_with_the_same_files(api, model):
    add(api, model, a=WEIGHTS)
    add(api, model, b=OTHER)
    files = api.list_repo_files(model)
    api.super_squash_history(model, commit_message="All in one")
    (only,) = api.list_repo_commits(model)
    assert (only.title, api.list_repo_files(model)) == ("All in one", files)


def test_other_branches_and_tags_keep_their_history(api, model):
    commit = add(api, model, a=WEIGHTS)
    api.create_tag(model, tag="v1")
    api.create_branch(model, branch="dev")
    api.super_squash_history(model, branch="dev")
    assert api.model_info(model).sha == api.model_info(model, revision="v1").sha == commit
    with pytest.raises(RevisionNotFoundError):
        api.super_squash_history(model, branch="none")


def test_the_large_files_of_the_whole_history_are_listed(api, model):
    first = add(api, model, a=WEIGHTS)
    add(api, model, a=OTHER)
    api.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", repo_id=model)
    found = {item.file_oid: item for item in api.list_lfs_files(model)}
    assert set(found) == {sha(WEIGHTS), sha(OTHER)}
    old = found[sha(WEIGHTS)]
    assert (old.filename, old.size, old.ref) == ("a.bin", len(WEIGHTS), "refs/heads/main")
    assert old.pushed_at == next(c.created_at for c in api.list_repo_commits(model) if c.commit_id == first)


def test_deleted_large_files_are_gone_from_the_history_and_the_store(api, model, root, tmp_path):
    add(api, model, a=WEIGHTS, deep_b=WEIGHTS, c=OTHER)
    api.create_tag(model, tag="v1", tag_message="First")
    api.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", repo_id=model)
    doomed = [item for item in api.list_lfs_files(model) if item.file_oid == sha(WEIGHTS)]
    api.permanently_delete_lfs_files(model, doomed)
    assert set(api.list_repo_files(model)) == {".gitattributes", "a.txt", "c.bin"}
    assert set(api.list_repo_files(model, revision="v1")) == {".gitattributes", "c.bin"}
    titles = [commit.title for commit in api.list_repo_commits(model)]
    assert titles[1:] == ["add a, deep_b, c", "initial commit"]
    assert [item.file_oid for item in api.list_lfs_files(model)] == [sha(OTHER)]
    assert {path.name for path in (root / "objects").rglob("*") if path.is_file()} == {sha(OTHER)}
    git = ["git", "-c", "safe.directory=*", "-C", str(root / "repos/models/org/model.git")]
    assert subprocess.run([*git, "fsck", "--strict"], check=False).returncode == 0


def test_a_large_file_is_gone_from_merged_branches_whatever_their_clocks_said(api, model, root):
    first = api.model_info(model).sha
    large = add(api, model, a=WEIGHTS)
    repo = root / "repos/models/org/model.git"

    def git(*args, date="2001-01-01T00:00:00Z"):
        command = ["git", "-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repo), *args]
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | dates
        ).stdout.strip()

    # A child that is older than its parent, so that by date the parent comes after another way to it was looked at.
    tree = f"{large}^{{tree}}"
    late = git("commit-tree", tree, "-p", first, "-m", "late", date="2040-01-01T00:00:00Z")
    middle = git("commit-tree", tree, "-p", late, "-m", "middle", date="2001-01-01T00:00:00Z")
    side = git("commit-tree", tree, "-p", middle, "-m", "side", date="2039-01-01T00:00:00Z")
    merge = git("commit-tree", tree, "-p", late, "-p", side, "-m", "merge", date="2041-01-01T00:00:00Z")
    git("update-ref", "refs/heads/main", merge)
    api.permanently_delete_lfs_files(model, api.list_lfs_files(model))
    assert list(api.list_lfs_files(model)) == []
    assert len(api.list_repo_commits(model)) == 5


def test_a_large_file_that_another_repo_uses_stays_in_the_store(api, model, tmp_path):
    add(api, model, a=WEIGHTS)
    api.create_repo("org/other")
    add(api, "org/other", a=WEIGHTS)
    api.permanently_delete_lfs_files(model, list(api.list_lfs_files(model)))
    assert api.hf_hub_download("org/other", "a.bin", local_dir=tmp_path)


def test_a_commit_from_before_the_removal_cannot_bring_the_pointer_back_without_the_file(api, raw, model):
    old = add(api, model, a=WEIGHTS)
    api.permanently_delete_lfs_files(model, api.list_lfs_files(model))
    copy = {"key": "copyFile", "value": {"path": "b.bin", "srcPath": "a.bin", "srcRevision": old}}
    body = "\n".join(map(json.dumps, [{"key": "header", "value": {"summary": "s"}}, copy]))
    answer = raw("POST", f"/api/models/{model}/commit/main", body.encode())
    assert answer.status == 400
    assert "was not uploaded" in answer.json["error"]


def test_without_rewriting_the_commits_stay_and_the_file_is_missing(api, raw, model):
    head = add(api, model, a=WEIGHTS)
    api.permanently_delete_lfs_files(model, list(api.list_lfs_files(model)), rewrite_history=False)
    assert api.model_info(model).sha == head
    assert f"lacks the large file {sha(WEIGHTS)}" in raw("GET", f"/{model}/resolve/main/a.bin").json["error"]


def test_only_writers_change_history(as_user):
    as_user("ann").create_repo("ann/model")
    eve = as_user("eve")
    for attempt in (
        lambda: eve.super_squash_history("ann/model"),
        lambda: list(eve.list_lfs_files("ann/model")),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            attempt()
        assert caught.value.response.status_code == 403


def test_files_are_copied_within_a_repo_and_from_another(api, model, tmp_path):
    add(api, model, a=WEIGHTS)
    api.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", repo_id=model)
    api.create_repo("org/data", repo_type="dataset")
    here = [CommitOperationCopy("a.bin", "b.bin"), CommitOperationCopy("a.txt", "b.txt")]
    api.create_commit(model, here, commit_message="copy here")
    there = [
        CommitOperationCopy("b.bin", "c.bin", src_repo_id=model, src_repo_type="model"),
        CommitOperationCopy("b.txt", "c.txt", src_repo_id=model, src_repo_type="model"),
    ]
    api.create_commit("org/data", there, commit_message="copy there", repo_type="dataset")
    for name, content in {"c.bin": WEIGHTS, "c.txt": b"text"}.items():
        path = api.hf_hub_download("org/data", name, repo_type="dataset", local_dir=tmp_path)
        assert Path(path).read_bytes() == content


def test_only_large_files_of_the_source_are_copied_to_another_repo(api, raw, model):
    api.create_repo("org/other")
    add(api, "org/other", a=WEIGHTS)
    body = {"target": {"type": "model", "name": "org/other"}, "files": [{"sha256": sha(WEIGHTS), "filename": "a"}]}
    answer = raw("POST", f"/api/models/{model}/lfs-files/duplicate", json.dumps(body).encode())
    assert answer.json["failed"] == [{"sha256": sha(WEIGHTS), "error": "File not found"}]
