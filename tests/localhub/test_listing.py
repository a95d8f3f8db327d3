import json

import pytest
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
