import json
import subprocess
from urllib.parse import urlencode

import pytest
from dulwich.object_store import BaseObjectStore
from huggingface_hub import CommitOperationAdd, RepoFile, RepoFolder
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError


@pytest.fixture
def filled(api, model):
    paths = ["notes.md", "a/one.txt", "a/b/two.txt", "weights.bin"]
    additions = [CommitOperationAdd(path, path.encode()) for path in paths]
    api.create_commit(model, additions, commit_message="fill")
    return model


def test_a_tree_lists_folders_and_files(api, filled):
    top = {entry.path: type(entry) for entry in api.list_repo_tree(filled)}
    assert top == {".gitattributes": RepoFile, "notes.md": RepoFile, "a": RepoFolder, "weights.bin": RepoFile}
    assert {entry.path for entry in api.list_repo_tree(filled, "a")} == {"a/b", "a/one.txt"}
    deep = {entry.path for entry in api.list_repo_tree(filled, "a", recursive=True)}
    assert deep == {"a/b", "a/b/two.txt", "a/one.txt"}


def test_a_tree_is_paged_and_stays_whole_while_the_branch_moves(api, raw, hub, filled):
    path, seen = f"/api/models/{filled}/tree/main?recursive=true&limit=2", []
    whole = [entry.path for entry in api.list_repo_tree(filled, recursive=True)]
    while path:
        answer = raw("GET", path)
        seen += [entry["path"] for entry in json.loads(answer.body)]
        api.upload_file(path_or_fileobj=b"x", path_in_repo=f"0{len(seen)}", repo_id=filled)
        link = answer.headers.get("link")
        path = link.partition(">")[0].removeprefix(f"<{hub.url}") if link else None
    assert seen == whole


def test_the_client_follows_the_pages_of_a_large_tree(api, model):
    additions = [CommitOperationAdd(f"d/{n:04}", b"") for n in range(1100)]
    api.create_commit(model, additions, commit_message="many")
    assert len(api.list_repo_files(model)) == 1101


def test_a_missing_folder_is_entry_not_found(api, filled):
    for path in ("none", "notes.md", "a/none"):
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree(filled, path))
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree(filled, revision="none"))


def test_expand_tells_the_last_commit_of_each_entry(api, filled):
    api.upload_file(path_or_fileobj=b"new", path_in_repo="a/one.txt", repo_id=filled, commit_message="touch")
    titles = {entry.path: entry.last_commit.title for entry in api.list_repo_tree(filled, recursive=True, expand=True)}
    assert titles == {
        ".gitattributes": "initial commit",
        "notes.md": "fill",
        "a": "touch",
        "a/b": "fill",
        "a/b/two.txt": "fill",
        "a/one.txt": "touch",
        "weights.bin": "fill",
    }


def test_paths_info_knows_files_and_folders_and_leaves_out_the_rest(api, raw, filled):
    found = api.get_paths_info(filled, ["a", "weights.bin", "none"], expand=True)
    assert [(entry.path, type(entry)) for entry in found] == [("a", RepoFolder), ("weights.bin", RepoFile)]
    assert found[1].lfs.size == found[1].size == len("weights.bin")
    assert found[1].security.status == "unscanned"
    body = json.dumps({"paths": ["notes.md"], "expand": False}).encode()
    answer = raw("POST", f"/api/models/{filled}/paths-info/main", body, Content_Type="application/json")
    assert [entry["path"] for entry in json.loads(answer.body)] == ["notes.md"]


def test_the_history_is_paged_newest_first(api, raw, model):
    for n in range(55):
        api.create_commit(model, [CommitOperationAdd("n", str(n).encode())], commit_message=f"change {n}")
    titles = [commit.title for commit in api.list_repo_commits(model)]
    assert titles == [*(f"change {n}" for n in reversed(range(55))), "initial commit"]
    answer = raw("GET", f"/api/models/{model}/commits/main?p=1&limit=50")
    assert answer.headers["x-total-count"] == "56"
    assert len(json.loads(answer.body)) == 6
    assert "link" not in answer.headers


def test_formatted_history_has_titles_and_messages(api, filled):
    newest = api.list_repo_commits(filled, formatted=True)[0]
    assert (newest.formatted_title, newest.formatted_message) == ("fill", "")


@pytest.fixture
def reads(monkeypatch):
    """The digest of every git object that is read, as often as it is."""
    seen = []
    read = BaseObjectStore.__getitem__
    monkeypatch.setattr(BaseObjectStore, "__getitem__", lambda store, name: seen.append(name) or read(store, name))
    return seen


def test_a_folder_is_read_once_however_many_of_its_files_are_asked_for(api, raw, model, reads):
    names = [f"d/{n}.txt" for n in range(40)]
    api.create_commit(model, [CommitOperationAdd(name, b"x") for name in names], commit_message="m")
    files = [{"path": name, "size": 1, "sample": ""} for name in names]
    copies = [{"key": "copyFile", "value": {"path": f"c/{name}", "srcPath": name}} for name in names]
    lines = [{"key": "header", "value": {"summary": "s"}}, *copies]
    for path, body in (
        ("preupload", json.dumps({"files": files})),
        ("paths-info", urlencode({"paths": names}, doseq=True)),
        ("commit", "\n".join(map(json.dumps, lines))),
    ):
        reads.clear()
        assert raw("POST", f"/api/models/{model}/{path}/main", body.encode()).status == 200
        assert len(reads) < 15


def test_folders_that_a_commit_did_not_change_are_not_read_for_the_last_change(api, model, reads):
    api.create_commit(model, [CommitOperationAdd(f"d/{n}/a.txt", b"x") for n in range(10)], commit_message="old")
    for n in range(10):
        api.upload_file(path_or_fileobj=b"%d" % n, path_in_repo="b.txt", repo_id=model, commit_message=f"new {n}")
    reads.clear()
    last = {
        item.path: item.last_commit.title for item in api.get_paths_info(model, ["d/3/a.txt", "b.txt"], expand=True)
    }
    assert last == {"d/3/a.txt": "old", "b.txt": "new 9"}
    # Two commits and two root folders for each step back; the folders below once.
    assert len(reads) < 80


def test_submodules_links_and_executables_that_git_itself_stored_are_passed_over_or_kept(
    api, raw, model, root, tmp_path
):
    repo = root / "repos/models/org/model.git"
    work = tmp_path / "work"

    def git(*args):
        command = ["git", "-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b", *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("clone", "-q", str(repo), str(work))
    (work / "run.sh").write_text("echo")
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("run.sh")
    git("-C", str(work), "add", "-A")
    git("-C", str(work), "update-index", "--add", "--cacheinfo", f"160000,{'a1' * 20},sub")
    git("-C", str(work), "commit", "-qm", "m")
    git("-C", str(work), "push", "-q", "origin", "HEAD:main")
    assert {item.path for item in api.list_repo_tree(model)} == {".gitattributes", "link", "run.sh"}
    assert raw("GET", f"/{model}/resolve/main/sub").status == 404
    assert list(api.list_lfs_files(model)) == []
    copies = [
        {"key": "copyFile", "value": {"path": "copy.sh", "srcPath": "run.sh"}},
        {"key": "copyFile", "value": {"path": "other", "srcPath": "link"}},
    ]
    lines = [{"key": "header", "value": {"summary": "s"}}, *copies]
    assert raw("POST", f"/api/models/{model}/commit/main", "\n".join(map(json.dumps, lines)).encode()).status == 200
    modes = {line.split()[-1]: line.split()[0] for line in git("-C", str(repo), "ls-tree", "main").splitlines()}
    assert modes == {
        ".gitattributes": "100644",
        "copy.sh": "100755",
        "link": "120000",
        "other": "120000",
        "run.sh": "100755",
        "sub": "160000",
    }
