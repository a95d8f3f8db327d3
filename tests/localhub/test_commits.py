import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    hf_hub_download,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

WEIGHTS = os.urandom(50_000)


def files(api, repo, revision=None):
    return set(api.list_repo_files(repo, revision=revision)) - {".gitattributes"}


def download(api, tmp_path, path, revision=None, repo="org/model"):
    local = hf_hub_download(repo, path, revision=revision, endpoint=api.endpoint, cache_dir=tmp_path / "cache")
    with open(local, "rb") as file:
        return file.read()


def test_one_commit_adds_ordinary_and_large_files_on_its_parent(api, model, tmp_path):
    parent = api.model_info(model).sha
    made = api.create_commit(
        model,
        [
            CommitOperationAdd("config.json", b"{}"),
            CommitOperationAdd("model.safetensors", WEIGHTS),
        ],
        commit_message="Release",
        commit_description="What is new",
        parent_commit=parent,
    )
    assert made.commit_url == f"{api.endpoint}/org/model/commit/{made.oid}"
    newest, first = api.list_repo_commits(model)
    assert (newest.commit_id, newest.title, newest.message) == (made.oid, "Release", "What is new")
    assert (newest.authors, first.commit_id) == (["demo"], parent)
    assert download(api, tmp_path, "config.json", made.oid) == b"{}"
    assert download(api, tmp_path, "model.safetensors", made.oid) == WEIGHTS
    facts = {entry.path: entry for entry in api.get_paths_info(model, ["config.json", "model.safetensors"])}
    assert facts["config.json"].lfs is None
    assert facts["model.safetensors"].lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert facts["model.safetensors"].size == len(WEIGHTS)


def test_a_stale_parent_is_refused_and_changes_nothing(api, model):
    parent = api.model_info(model).sha
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model)
    head = api.model_info(model).sha
    with pytest.raises(HfHubHTTPError, match="The branch was updated since you opened this page") as caught:
        api.upload_file(path_or_fileobj=b"2", path_in_repo="b", repo_id=model, parent_commit=parent)
    assert caught.value.response.status_code == 412
    assert api.model_info(model).sha == head


@pytest.mark.parametrize("digits", [1, 6])
def test_a_few_digits_of_the_parent_are_not_enough_to_tell_it(raw, api, model, digits):
    for parent, status in ((api.model_info(model).sha[:digits], 412), ("\ud800", 400)):
        lines = [{"key": "header", "value": {"summary": "s", "parentCommit": parent}}]
        body = "\n".join(map(json.dumps, lines)).encode()
        assert raw("POST", f"/api/models/{model}/commit/main", body).status == status


def test_of_two_writers_on_one_parent_exactly_one_wins(api, model):
    parent = api.model_info(model).sha

    def write(n: int) -> int:
        operations = [CommitOperationAdd(f"{n}.txt", str(n).encode())]
        try:
            api.create_commit(model, operations, commit_message=f"{n}", parent_commit=parent)
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(write, range(4)))
    assert answers == [200, 412, 412, 412]
    assert len(files(api, model)) == 1


def test_writers_without_a_parent_all_get_through(api, model):
    def write(n: int) -> None:
        api.upload_file(path_or_fileobj=b"x", path_in_repo=f"{n}.txt", repo_id=model)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert files(api, model) == {f"{n}.txt" for n in range(8)}
    assert len(api.list_repo_commits(model)) == 9


def test_a_folder_can_be_uploaded_and_deleted(api, model, tmp_path):
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.bin"):
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(name.encode() * 3)
    api.upload_folder(folder_path=tmp_path / "up", repo_id=model)
    assert files(api, model) == {"a.txt", "sub/b.txt", "sub/deep/c.bin"}
    api.delete_folder("sub", model)
    assert files(api, model) == {"a.txt"}
    api.delete_file("a.txt", model)
    assert files(api, model) == set()


def test_deleting_what_is_not_there_is_entry_not_found(api, model):
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist"):
        api.delete_file("none.txt", model)


def test_files_can_be_copied_within_a_repo(api, model, tmp_path):
    additions = [CommitOperationAdd("a.txt", b"small"), CommitOperationAdd("a.bin", WEIGHTS)]
    api.create_commit(model, additions, commit_message="add")
    copies = [CommitOperationCopy("a.txt", "b.txt"), CommitOperationCopy("a.bin", "b.bin")]
    api.create_commit(model, [*copies, CommitOperationDelete("a.txt")], commit_message="copy")
    assert files(api, model) == {"a.bin", "b.bin", "b.txt"}
    assert download(api, tmp_path, "b.bin") == WEIGHTS


def test_a_copy_operation_reads_from_the_revision_it_names(api, raw, model, tmp_path):
    old = api.upload_file(path_or_fileobj=b"old", path_in_repo="a.txt", repo_id=model).oid
    api.upload_file(path_or_fileobj=b"new", path_in_repo="a.txt", repo_id=model)
    copy = {"path": "b.txt", "srcPath": "a.txt", "srcRevision": old}
    answer = post_commit(raw, ("copyFile", copy))
    assert answer.status == 200
    assert download(api, tmp_path, "b.txt") == b"old"


@pytest.mark.parametrize("name", ["what?.txt", "100%.txt", "a%2Fb.txt", "at 12:30.txt", "two words/ü.txt", "#x+&.txt"])
def test_names_with_special_characters_survive_the_round_trip(api, model, tmp_path, name):
    api.upload_file(path_or_fileobj=b"odd", path_in_repo=name, repo_id=model)
    assert files(api, model) == {name}
    assert download(api, tmp_path, name) == b"odd"
    assert [entry.path for entry in api.get_paths_info(model, [name])] == [name]


@pytest.mark.parametrize("path", ["../a", "a/../b", ".git/config", "a/.GIT/b", "a//b", "/a", "", "a/./b", "a\nb"])
def test_paths_that_git_must_not_hold_are_refused(raw, model, path):
    answer = post_commit(raw, ("file", {"path": path, "content": "x"}))
    assert answer.status == 400


def test_a_path_cannot_be_a_file_and_a_folder(api, raw, model):
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=model)
    assert post_commit(raw, ("file", {"path": "a/b", "content": "x"})).status == 400


def test_a_commit_goes_to_the_branch_that_it_names(api, model):
    api.create_branch(model, branch="next/one")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=model, revision="next/one")
    assert files(api, model, "next/one") == {"a"}
    assert files(api, model) == set()


def test_a_commit_to_a_missing_branch_or_a_tag_is_revision_not_found(api, raw, model):
    with pytest.raises(RevisionNotFoundError):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=model, revision="none")
    api.create_tag(model, tag="v1")
    answer = post_commit(raw, ("file", {"path": "a", "content": "x"}), revision="v1")
    assert (answer.status, answer.headers["x-error-code"]) == (404, "RevisionNotFound")


def test_a_large_file_must_be_uploaded_before_it_is_committed(raw, model):
    answer = post_commit(raw, ("lfsFile", {"path": "a.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}))
    assert answer.status == 400
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 3\n"
    assert post_commit(raw, ("file", {"path": "a.bin", "content": pointer})).status == 400


def test_a_large_file_that_no_pattern_covers_is_added_to_gitattributes(api, model, tmp_path):
    api.upload_file(path_or_fileobj=b"x" * 11_000_000, path_in_repo="big [1] file.txt", repo_id=model)
    attributes = download(api, tmp_path, ".gitattributes").decode()
    last = attributes.splitlines()[-1]
    assert last == r"/big[[:space:]]\[1\][[:space:]]file.txt filter=lfs diff=lfs merge=lfs -text"
    api.upload_file(path_or_fileobj=b"y" * 200, path_in_repo="big [1] file.txt", repo_id=model)
    assert api.get_paths_info(model, ["big [1] file.txt"])[0].lfs is not None
    assert download(api, tmp_path, ".gitattributes").decode() == attributes


def test_an_unchanged_file_is_not_committed_again(api, model):
    operations = [("a.txt", b"same"), ("a.bin", WEIGHTS)]
    for _ in range(2):
        additions = [CommitOperationAdd(path, content) for path, content in operations]
        api.create_commit(model, additions, commit_message="again")
    assert len(api.list_repo_commits(model)) == 2


def test_gitignore_of_the_repo_and_of_the_request_is_followed(api, raw, model):
    api.upload_file(path_or_fileobj=b"*.log\nlogs/\n", path_in_repo=".gitignore", repo_id=model)
    wanted = [CommitOperationAdd(path, b"x") for path in ("a.log", "logs/a.txt", "keep.txt")]
    api.create_commit(model, wanted, commit_message="add")
    assert files(api, model) == {".gitignore", "keep.txt"}
    body = {"files": [{"path": "a.log", "size": 1, "sample": ""}], "gitIgnore": "*.tmp"}
    answer = raw("POST", f"/api/models/{model}/preupload/main", json.dumps(body).encode())
    assert answer.json["files"][0]["shouldIgnore"] is False


def test_an_empty_file_is_ordinary_whatever_its_suffix(api, model):
    api.upload_file(path_or_fileobj=b"", path_in_repo="empty.safetensors", repo_id=model)
    assert api.get_paths_info(model, ["empty.safetensors"])[0].lfs is None


def test_a_commit_of_many_files_is_one_pack(api, model, root):
    additions = [CommitOperationAdd(f"d{n % 7}/{n}.txt", str(n).encode()) for n in range(150)]
    api.create_commit(model, additions, commit_message="many")
    assert len(files(api, model)) == 150
    assert len(list((root / "repos/models/org/model.git/objects/pack").glob("*.pack"))) == 1


def test_a_commit_that_is_too_large_is_refused(raw, model):
    answer = raw("POST", f"/api/models/{model}/commit/main", b"x" * (101 << 20))
    assert answer.status == 413


@pytest.mark.parametrize("body", [b"", b"no json\n", b'{"key": "file"}\n', b'{"key": "odd", "value": {"path": "a"}}\n'])
def test_a_commit_that_cannot_be_read_is_a_bad_request(raw, model, body):
    assert raw("POST", f"/api/models/{model}/commit/main", body).status == 400


def post_commit(raw, *operations, revision="main"):
    lines = [("header", {"summary": "s", "description": ""}), *operations]
    body = "".join(json.dumps({"key": key, "value": value}) + "\n" for key, value in lines)
    return raw("POST", f"/api/models/org/model/commit/{revision}", body.encode())


@pytest.mark.parametrize("path", ["folder", "folder/"])
def test_a_folder_may_be_deleted_with_or_without_a_slash(api, model, path):
    added = [CommitOperationAdd(name, b"x") for name in ("folder/a", "folder/in/b", "folder.md")]
    api.create_commit(model, added, commit_message="Add")
    api.create_commit(model, [CommitOperationDelete(path)], commit_message="Delete")
    assert files(api, model) == {"folder.md"}
    with pytest.raises(EntryNotFoundError, match="folder"):
        api.create_commit(model, [CommitOperationDelete(path)], commit_message="Delete")


def test_more_than_100_mib_of_ordinary_files_make_one_commit(api, model, root):
    # Base64 adds a third.
    operations = [CommitOperationAdd(f"rows-{n}.txt", bytes([97 + n]) * 9_900_000) for n in range(9)]
    made = api.create_commit(model, operations, commit_message="Add")
    facts = api.get_paths_info(model, [operation.path_in_repo for operation in operations], revision=made.oid)
    assert [(fact.size, fact.lfs) for fact in facts] == [(9_900_000, None)] * 9
    assert list((root / "tmp").iterdir()) == []


def test_a_commit_is_bounded(raw, model, monkeypatch):
    monkeypatch.setattr("hubtune.localhub.tree_edits._LONGEST_LINE", 1000)
    lines = b'{"key": "header", "value": {"summary": "s"}}\n' + b'{"key": "file", "value": {"path": "a", "content": "'
    answer = raw("POST", f"/api/models/{model}/commit/main", lines + b"x" * 2000 + b'"}}\n')
    assert (answer.status, answer.json["error"]) == (413, "Line 2 of the commit is longer than 0 MiB.")
    monkeypatch.setattr("hubtune.localhub.api.connection._MOST_SPOOLED", 1000)
    assert raw("POST", f"/api/models/{model}/commit/main", lines + b"x" * 2000).status == 503
    small = b'{"key": "header", "value": {"summary": "s"}}\n{"key": "file", "value": {"path": "a", "content": ""}}\n'
    assert raw("POST", f"/api/models/{model}/commit/main", small).status == 200
