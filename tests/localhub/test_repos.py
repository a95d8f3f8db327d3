import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from hubtune.localhub import EmbeddedHub
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.large_files import LargeFileStore
from hubtune.localhub.repos import RepoStore


def test_a_new_repo_has_a_first_commit_with_gitattributes(api):
    assert str(api.create_repo("org/model")).endswith("/org/model")
    assert api.list_repo_files("org/model") == [".gitattributes"]
    assert [commit.title for commit in api.list_repo_commits("org/model")] == ["initial commit"]


@pytest.mark.parametrize(("type_", "prefix"), [("model", ""), ("dataset", "datasets/"), ("space", "spaces/")])
def test_each_type_of_repo_has_its_own_address(api, hub, type_, prefix):
    sdk = "static" if type_ == "space" else None
    url = api.create_repo("org/thing", repo_type=type_, space_sdk=sdk)
    assert url == f"{hub.url}/{prefix}org/thing"
    assert api.repo_info("org/thing", repo_type=type_).id == "org/thing"


def test_an_id_without_namespace_is_created_in_the_users_own(api):
    assert api.create_repo("solo").repo_id == "demo/solo"


def test_reading_an_id_without_namespace_is_repo_not_found(api, raw):
    api.create_repo("solo")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("solo")
    for path in ("/api/models/solo/tree/main", "/solo/resolve/main/config.json"):
        assert raw("GET", path).headers["x-error-code"] == "RepoNotFound"


def test_creating_a_repo_twice_is_a_conflict_that_names_its_address(api, raw, hub):
    api.create_repo("org/data", repo_type="dataset")
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo("ORG/Data", repo_type="dataset")
    assert caught.value.response.status_code == 409
    assert caught.value.response.json()["url"] == f"{hub.url}/datasets/org/data"
    assert api.create_repo("org/data", repo_type="dataset", exist_ok=True).repo_id == "org/data"


def test_repo_ids_do_not_regard_case(api):
    api.create_repo("Org/Model")
    assert api.model_info("oRG/mODEL").id == "Org/Model"


@pytest.mark.parametrize("name", ["a..b", "a--b", ".hidden", "x.git", "sp ace", "a/../../b"])
def test_names_that_the_hub_refuses_are_refused(raw, name):
    body = f'{{"name": "{name}", "organization": "org"}}'.encode()
    assert raw("POST", "/api/repos/create", body).status == 400


def test_a_deleted_repo_is_gone(api, model):
    api.delete_repo(model)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(model)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(model)
    api.create_repo(model)


def test_a_missing_repo_is_not_found_for_users_and_for_strangers(api, hub, raw):
    for client in (api, HfApi(endpoint=hub.url, token=False)):
        with pytest.raises(RepositoryNotFoundError):
            client.model_info("org/none")
    assert raw("GET", "/api/models/org/none").status == 404
    assert raw("GET", "/api/models/org/none", token=None).status == 401


def test_the_info_answers_what_clients_show(api, model):
    api.upload_file(path_or_fileobj=b"x" * 12, path_in_repo="a.txt", repo_id=model)
    info = api.model_info(model, files_metadata=True, securityStatus=True)
    assert (info.author, info.private, info.gated, info.disabled) == ("org", False, False, False)
    assert info.sha == api.list_repo_commits(model)[0].commit_id
    assert info.created_at <= info.last_modified or (info.created_at - info.last_modified).seconds < 2
    assert {s.rfilename: s.size for s in info.siblings}["a.txt"] == 12


def test_expand_limits_the_answer_to_what_was_asked(api, model):
    info = api.model_info(model, expand=["private", "usedStorage"])
    assert (info.id, info.private, info.sha) == (model, False, None)


def test_the_storage_is_a_git_repository_that_git_accepts(api, model, root):
    api.upload_file(path_or_fileobj=b"hello", path_in_repo="a/b.txt", repo_id=model)
    git = ["git", "-c", "safe.directory=*", "-C", str(root / "repos/models/org/model.git")]
    assert subprocess.run([*git, "fsck", "--strict"], check=False).returncode == 0
    shown = subprocess.run([*git, "show", "main:a/b.txt"], check=True, capture_output=True)
    assert shown.stdout == b"hello"


def test_a_moved_repo_is_found_under_its_new_name_and_its_old_one(api, model, tmp_path):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model)
    api.move_repo(model, "acme/renamed")
    assert [found.id for found in api.list_models()] == ["acme/renamed"]
    assert api.model_info(model).id == "acme/renamed"
    assert api.hf_hub_download(model, "a", local_dir=tmp_path)
    api.move_repo("acme/renamed", "acme/Final")
    assert api.model_info(model).id == "acme/Final"
    api.create_repo(model)
    assert api.model_info(model).id == model


def test_the_old_name_of_a_moved_repo_is_not_enough_to_delete_it(api, model):
    api.move_repo(model, "acme/renamed")
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(model)
    with pytest.raises(RepositoryNotFoundError):
        api.move_repo(model, "acme/again")
    assert api.model_info("acme/renamed")


def test_a_repo_is_not_moved_onto_another_but_may_change_its_spelling(api, model):
    api.create_repo("org/other")
    with pytest.raises(HfHubHTTPError, match="A model repository called org/OTHER already exists") as caught:
        api.move_repo(model, "org/OTHER")
    assert caught.value.response.status_code == 409
    api.move_repo(model, "org/MODEL")
    assert api.model_info(model).id == "org/MODEL"


def test_a_repo_is_moved_only_by_those_who_may_write_in_both_places(as_user):
    as_user("ann").create_repo("ann/model")
    for name, target in (("eve", "eve/model"), ("ann", "eve/model")):
        with pytest.raises(HfHubHTTPError, match="don't have the rights to move") as caught:
            as_user(name).move_repo("ann/model", target)
        assert caught.value.response.status_code == 403
    as_user("ann").move_repo("ann/model", "acme/model")
    assert as_user("eve").model_info("acme/model").author == "acme"


def test_a_space_is_committed_to_and_downloaded_like_any_repo(api, tmp_path):
    api.create_repo("org/demo", repo_type="space", space_sdk="gradio")
    api.upload_file(path_or_fileobj=b"app", path_in_repo="app.py", repo_id="org/demo", repo_type="space")
    assert api.space_info("org/demo").sdk == "gradio"
    assert api.hf_hub_download("org/demo", "app.py", repo_type="space", local_dir=tmp_path)
    api.create_branch("org/demo", branch="dev", repo_type="space")
    assert [ref.name for ref in api.list_repo_refs("org/demo", repo_type="space").branches] == ["dev", "main"]


def test_whoever_waited_while_a_repo_was_deleted_or_moved_is_told_and_changes_nothing(tmp_path):
    large_files = LargeFileStore(tmp_path / "objects", tmp_path / "tmp")
    store = RepoStore(tmp_path / "repos", tmp_path / "tmp", large_files)
    ids = [RepoId(RepoType.MODEL, "org", name) for name in ("old", "new", "third")]
    found = store.create(ids[0], author="ann")
    store.move(found, ids[1])
    for late in (
        lambda: store.move(found, ids[2]),
        lambda: store.configure(found, {"private": True}),
        lambda: store.delete(found),
    ):
        with pytest.raises(ApiError, match="Repository not found"):
            late()
    assert store.find(ids[0]).id == ids[1]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_repo_that_goes_while_it_is_read_is_not_found(tmp_path):
    large_files = LargeFileStore(tmp_path / "objects", tmp_path / "tmp")
    store = RepoStore(tmp_path / "repos", tmp_path / "tmp", large_files)
    repo_id = RepoId(RepoType.MODEL, "org", "name")
    repo = store.create(repo_id, author="ann")

    def read_late() -> None:
        with repo.git() as git:
            head = git.refs[b"refs/heads/main"]
            store.delete(repo)
            git[head]

    with pytest.raises(ApiError, match="Repository not found"):
        read_late()
    assert store.find(repo_id) is None


def test_many_who_delete_move_and_write_a_repo_at_once_are_all_answered(raw):
    requests = [
        ("DELETE", "/api/repos/delete", {"name": "org/busy"}),
        ("POST", "/api/repos/move", {"fromRepo": "org/busy", "toRepo": "org/other"}),
        ("PUT", "/api/models/org/busy/settings", {"gated": "auto"}),
        ("POST", "/api/models/org/busy/discussions", {"title": "A title"}),
        ("GET", "/api/models", {}),
    ]
    with ThreadPoolExecutor(10) as pool:
        for _ in range(5):
            raw("POST", "/api/repos/create", b'{"name": "org/busy"}')
            answers = [pool.submit(raw, method, path, json.dumps(body).encode()) for method, path, body in requests * 2]
            assert {answer.result().status for answer in answers} <= {200, 404, 409}


def test_the_folder_of_a_private_repo_is_its_owners_alone(api, root):
    def mode(name: str) -> int:
        return (root / f"repos/models/org/{name}.git").stat().st_mode & 0o777

    api.create_repo("org/secret", private=True)
    api.create_repo("org/open")
    assert (mode("secret"), mode("open")) == (0o700, 0o755)
    api.update_repo_settings("org/open", private=True)
    assert mode("open") == 0o700
    api.move_repo("org/secret", "org/moved")
    assert mode("moved") == 0o700
    api.update_repo_settings("org/open", private=False)
    assert mode("open") == 0o755


def test_private_repos_of_earlier_versions_are_closed_at_the_next_start(root):
    with EmbeddedHub(root) as hub:
        HfApi(endpoint=hub.url, token="t").create_repo("org/secret", private=True)
        HfApi(endpoint=hub.url, token="t").create_repo("org/damaged")
    folder = root / "repos/models/org"
    (folder / "secret.git").chmod(0o755)
    (folder / "damaged.git/hub.json").write_text("{")
    with EmbeddedHub(root):
        assert (folder / "secret.git").stat().st_mode & 0o777 == 0o700


def test_a_new_space_has_a_card(api):
    api.create_repo("org/7", repo_type="space", space_sdk="gradio")
    assert set(api.list_repo_files("org/7", repo_type="space")) == {".gitattributes", "README.md"}
    card = api.space_info("org/7").card_data
    assert (card.title, card.sdk) == ("7", "gradio")
    api.create_branch("org/7", branch="dev", repo_type="space")
    assert api.space_info("org/7", revision="dev").card_data.sdk == "gradio"


def test_a_space_runs_on_what_the_hub_knows(raw):
    body = json.dumps({"type": "space", "name": "org/demo", "sdk": "x\nlicense: mit"}).encode()
    answer = raw("POST", "/api/repos/create", body)
    assert (answer.status, answer.json["error"].startswith('"sdk" must be one of [gradio')) == (400, True)


@pytest.mark.parametrize("type_", ["model", "dataset", "space"])
def test_a_repo_is_duplicated_with_its_history_and_large_files(api, tmp_path, type_):
    api.create_repo("org/first", repo_type=type_, space_sdk="static" if type_ == "space" else None)
    content = os.urandom(100)
    api.upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id="org/first", repo_type=type_)
    api.create_tag("org/first", tag="v1", tag_message="First", repo_type=type_)
    api.create_branch("org/first", branch="next", repo_type=type_)
    proposed = api.upload_file(
        path_or_fileobj=b"x", path_in_repo="x", repo_id="org/first", repo_type=type_, create_pr=True
    )
    url = api.duplicate_repo("org/first", "acme/second", repo_type=type_)
    assert (url.repo_id, url.repo_type, url.files_copy_pending) == ("acme/second", type_, False)
    first, second = (api.list_repo_refs(name, repo_type=type_, include_pull_requests=True) for name in
                     ("org/first", "acme/second"))  # fmt: skip
    assert (second.branches, second.tags, second.pull_requests) == (first.branches, first.tags, [])
    assert not api.revision_exists("acme/second", proposed.oid, repo_type=type_)
    assert list(api.get_repo_discussions("acme/second", repo_type=type_)) == []
    local = api.hf_hub_download("acme/second", "w.bin", revision="v1", repo_type=type_, local_dir=tmp_path)
    assert Path(local).read_bytes() == content


def test_a_duplicate_goes_on_alone(api, model, tmp_path, root):
    api.upload_file(path_or_fileobj=b"\0 kept", path_in_repo="w.bin", repo_id=model)
    api.duplicate_repo(model, "acme/copy")
    api.permanently_delete_lfs_files(model, list(api.list_lfs_files(model)))
    api.delete_repo(model)
    api.upload_file(path_or_fileobj=b"more", path_in_repo="more.txt", repo_id="acme/copy")
    local = api.hf_hub_download("acme/copy", "w.bin", local_dir=tmp_path)
    assert Path(local).read_bytes() == b"\0 kept"
    assert [path for path in (root / "tmp").iterdir() if path.is_dir()] == []


def test_duplicates_keep_who_may_see_them_unless_told_otherwise(as_user):
    ann, eve = as_user("ann"), as_user("eve")
    ann.create_repo("ann/open")
    ann.create_repo("ann/closed", private=True)
    ann.create_repo("ann/gated")
    ann.update_repo_settings("ann/gated", gated="manual")
    ann.duplicate_repo("ann/closed", "acme/closed")
    ann.duplicate_repo("ann/open", "acme/hidden", private=True)
    ann.duplicate_repo("ann/gated", "acme/gated")
    assert [ann.model_info(f"acme/{name}").private for name in ("closed", "hidden", "gated")] == [True, True, False]
    assert ann.model_info("acme/gated").gated == "manual"
    assert eve.duplicate_repo("ann/open").repo_id == "eve/open"
    with pytest.raises(RepositoryNotFoundError):
        eve.duplicate_repo("ann/closed")
    with pytest.raises(GatedRepoError):
        eve.duplicate_repo("ann/gated")
    with pytest.raises(HfHubHTTPError, match='create a model under the namespace "acme"'):
        eve.duplicate_repo("ann/open", "acme/open")


def test_a_duplicate_does_not_replace_a_repo(api, model):
    api.create_repo("acme/there")
    with pytest.raises(HfHubHTTPError, match="You already created this model repo: acme/there") as caught:
        api.duplicate_repo(model, "acme/there")
    assert caught.value.response.status_code == 409
    assert api.duplicate_repo(model, "acme/there", exist_ok=True).repo_id == "acme/there"


def test_the_command_line_duplicates(api, hf, model):
    done = hf("repos", "duplicate", model, "acme/copy")
    assert (done.returncode, api.repo_exists("acme/copy")) == (0, True), done.stderr


@pytest.mark.parametrize("name", ["api/models", "datasets/x", "Spaces/x", "models/x"])
def test_no_repo_is_called_as_the_hub_s_own_addresses_begin(api, raw, model, name):
    for request in (
        ("POST", "/api/repos/create", {"name": name}),
        ("POST", "/api/repos/move", {"fromRepo": model, "toRepo": name}),
        ("POST", f"/api/models/{model}/duplicate", {"repository": name}),
    ):
        answer = raw(*request[:2], json.dumps(request[2]).encode())
        assert (answer.status, "Reserved" in answer.json["error"]) == (400, True)
    assert [info.id for info in api.list_models()] == [model]
