import subprocess

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError


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
