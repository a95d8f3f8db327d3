import pytest
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError


@pytest.fixture
def commits(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model)
    return [commit.commit_id for commit in reversed(api.list_repo_commits(model))]


@pytest.mark.parametrize("message", [None, "The first release"])
def test_a_tag_names_its_commit_with_or_without_a_message(api, model, commits, message):
    api.create_tag(model, tag="v1.0", revision=commits[0], tag_message=message)
    refs = api.list_repo_refs(model)
    assert [(tag.name, tag.ref, tag.target_commit) for tag in refs.tags] == [("v1.0", "refs/tags/v1.0", commits[0])]
    assert api.model_info(model, revision="v1.0").sha == commits[0]


def test_a_tag_is_never_moved(api, model, commits):
    api.create_tag(model, tag="v1", revision=commits[0])
    with pytest.raises(HfHubHTTPError, match="Tag reference exists already") as caught:
        api.create_tag(model, tag="v1", revision=commits[1])
    assert caught.value.response.status_code == 409
    api.create_tag(model, tag="v1", revision=commits[1], exist_ok=True)
    assert api.model_info(model, revision="v1").sha == commits[0]


def test_a_deleted_tag_is_gone_and_can_be_made_anew(api, model, commits):
    api.create_tag(model, tag="v1", revision=commits[0])
    api.delete_tag(model, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(model, revision="v1")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(model, tag="v1")
    api.create_tag(model, tag="v1", revision=commits[1])


def test_tagging_a_missing_revision_is_revision_not_found(api, model):
    with pytest.raises(RevisionNotFoundError, match="Invalid rev id"):
        api.create_tag(model, tag="v1", revision="none")


@pytest.mark.parametrize("name", ["a b", "a..b", "a.lock", "x~1", "refs/tags/x", "-x", "HEAD", "a1" * 20, ""])
def test_names_that_git_refuses_are_bad_requests(api, model, name):
    with pytest.raises(BadRequestError):
        api.create_tag(model, tag=name)


def test_a_branch_starts_where_it_is_told(api, model, commits):
    api.create_branch(model, branch="feature/x", revision=commits[0])
    branches = {ref.name: ref.target_commit for ref in api.list_repo_refs(model).branches}
    assert branches == {"feature/x": commits[0], "main": commits[1]}


@pytest.mark.parametrize("name", ["main", "other"])
def test_an_existing_branch_is_a_conflict(api, model, name):
    api.create_branch(model, branch="other")
    with pytest.raises(HfHubHTTPError, match=f"Reference refs/heads/{name} already exists") as caught:
        api.create_branch(model, branch=name)
    assert caught.value.response.status_code == 409
    api.create_branch(model, branch=name, exist_ok=True)


def test_a_branch_can_be_overwritten_or_start_empty(api, raw, model, commits):
    path = f"/api/models/{model}/branch"
    assert raw("POST", f"{path}/b", b"{}").status == 200
    body = f'{{"startingPoint": "{commits[0]}", "overwrite": true}}'.encode()
    assert raw("POST", f"{path}/b", body).status == 200
    assert api.model_info(model, revision="b").sha == commits[0]
    assert raw("POST", f"{path}/empty", b'{"emptyBranch": true}').status == 200
    assert api.list_repo_files(model, revision="empty") == [".gitattributes"]


def test_main_cannot_be_deleted_and_other_branches_can(api, model):
    api.create_branch(model, branch="other")
    api.delete_branch(model, branch="other")
    assert [ref.name for ref in api.list_repo_refs(model).branches] == ["main"]
    with pytest.raises(HfHubHTTPError, match="Cannot delete refs/heads/main"):
        api.delete_branch(model, branch="main")
    api.create_tag(model, tag="tagged")
    for name in ("other", "tagged"):
        with pytest.raises(RevisionNotFoundError, match=f"Invalid rev id: {name}"):
            api.delete_branch(model, branch=name)
    with pytest.raises(RevisionNotFoundError, match="Invalid rev id: other"):
        api.delete_tag(model, tag="other")


@pytest.mark.parametrize("name", ["refs/pr/1", "refs/x/y", "a b", "-x", "HEAD", "a1" * 20])
def test_a_branch_name_must_be_one(api, model, name):
    with pytest.raises(BadRequestError, match="Invalid reference for a branch"):
        api.create_branch(model, branch=name)


def test_a_ref_cannot_stand_where_another_needs_a_folder(api, model):
    api.create_branch(model, branch="a/b")
    for name in ("a", "a/b/c"):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_branch(model, branch=name)
        assert caught.value.response.status_code == 409


def test_pull_requests_are_listed_when_asked_for(api, model):
    assert api.list_repo_refs(model, include_pull_requests=True).pull_requests == []
    assert api.list_repo_refs(model).pull_requests is None


def test_every_form_of_a_revision_is_understood(api, model, commits):
    api.create_tag(model, tag="v1", revision=commits[0], tag_message="m")
    forms = {"main": 1, "refs/heads/main": 1, "v1": 0, "refs/tags/v1": 0, commits[0]: 0, commits[1][:7]: 1}
    for revision, index in forms.items():
        assert api.model_info(model, revision=revision).sha == commits[index]


def test_no_branch_or_tag_takes_the_place_of_a_commit_that_is_named_by_all_its_digits(api, model, commits, root):
    heads = root / "repos/models/org/model.git/refs/heads"
    for name in (commits[0], commits[0][:10]):
        # As `git update-ref` would; the Hub itself makes no branch of the first name.
        (heads / name).write_text(f"{commits[1]}\n")
    assert api.model_info(model, revision=commits[0]).sha == commits[0]
    assert api.model_info(model, revision=commits[0].upper()).sha == commits[0]
    assert api.model_info(model, revision=commits[0][:10]).sha == commits[1]


@pytest.mark.parametrize("revision", ["none", "refs/pr/1", "0" * 40, "abc", "a b", "a..b", "%"])
def test_an_unknown_revision_is_named_in_the_answer(api, model, revision):
    with pytest.raises(RevisionNotFoundError) as caught:
        api.model_info(model, revision=revision)
    assert caught.value.response.headers["X-Error-Message"] == f"Invalid rev id: {revision}"


def test_six_digits_of_a_commit_are_not_a_revision(api, model, commits):
    with pytest.raises(RevisionNotFoundError):
        api.model_info(model, revision=commits[0][:6])


def status_of(answer_to) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        answer_to()
    return caught.value.response.status_code


def test_of_a_branch_and_a_tag_of_one_name_the_second_is_refused(api, raw, model, commits):
    api.create_tag(model, tag="v1", revision=commits[0])
    api.create_branch(model, branch="next")
    assert status_of(lambda: api.create_branch(model, branch="v1")) == 409
    assert raw("POST", f"/api/models/{model}/branch/v1", b'{"emptyBranch": true}').status == 409
    assert raw("POST", f"/api/models/{model}/branch/v1", b'{"overwrite": true}').status == 409
    for name in ("next", "main"):
        answer = raw("POST", f"/api/models/{model}/tag/main", f'{{"tag": "{name}", "message": "m"}}'.encode())
        assert (answer.status, "already exists" in answer.json["error"]) == (409, True)
    refs = api.list_repo_refs(model)
    assert ({ref.name for ref in refs.branches}, {ref.name for ref in refs.tags}) == ({"main", "next"}, {"v1"})
    # One that is gone is in nobody's way.
    api.delete_tag(model, tag="v1")
    api.create_branch(model, branch="v1")


@pytest.mark.parametrize("length", [7, 12, 39, 40])
def test_the_first_digits_of_a_commit_are_no_name_for_another(api, raw, model, commits, length):
    for digits in (commits[0][:length], commits[0][:length].upper()):
        refused = {400} if length == 40 else {409}
        assert status_of(lambda name=digits: api.create_branch(model, branch=name)) in refused
        assert status_of(lambda name=digits: api.create_tag(model, tag=name)) in refused
        assert raw("POST", f"/api/models/{model}/branch/{digits}", b'{"emptyBranch": true}').status in refused
        assert api.model_info(model, revision=digits).sha == commits[0]
    api.create_tag(model, tag="0000000")
    api.create_tag(model, tag=commits[0][:6])


@pytest.mark.parametrize(("first", "second"), [("v1", "tags/v1"), ("next", "heads/next"), ("a/b", "tags/a/b")])
def test_what_git_takes_for_the_path_of_another_ref_is_refused(api, model, commits, first, second):
    make, other = api.create_tag, api.create_branch
    if second.startswith("heads/"):
        make, other = api.create_branch, api.create_branch
    make(model, **{"tag" if make == api.create_tag else "branch": first})
    assert status_of(lambda: other(model, branch=second)) == 409
    assert status_of(lambda: api.create_tag(model, tag=second)) == 409


@pytest.mark.parametrize(
    "name", ["HEAD", "head", "FETCH_HEAD", "@", "refs", "Refs/heads/x", "refs/tags/v1", "pr/1", "convert/parquet"]
)
def test_names_that_mean_something_to_git_or_the_hub_are_bad_requests(api, raw, model, name):
    quoted = name.replace("/", "%2F")
    for body in (b"{}", b'{"emptyBranch": true}'):
        assert raw("POST", f"/api/models/{model}/branch/{quoted}", body).status == 400
    assert raw("POST", f"/api/models/{model}/tag/main", f'{{"tag": "{name}"}}'.encode()).status == 400


def test_every_reader_gets_the_tag_where_a_branch_has_its_name_already(api, raw, model, commits, root, tmp_path):
    api.upload_file(path_or_fileobj=b"released", path_in_repo="file.txt", repo_id=model)
    released = api.model_info(model).sha
    api.upload_file(path_or_fileobj=b"other", path_in_repo="file.txt", repo_id=model)
    repo = root / "repos/models/org/model.git"
    (repo / "refs/tags/v1").write_text(released)
    (repo / "refs/heads/v1").write_text(api.model_info(model).sha)
    assert api.model_info(model, revision="v1").sha == released
    assert api.list_repo_commits(model, revision="v1")[0].commit_id == released
    assert raw("HEAD", f"/{model}/resolve/v1/file.txt").headers["x-repo-commit"] == released
    assert raw("GET", f"/{model}/raw/v1/file.txt").body == b"released"
    tree = {item.path: item.blob_id for item in api.list_repo_tree(model, revision="v1")}
    info = {item.path: item.blob_id for item in api.get_paths_info(model, list(tree), revision="v1")}
    assert tree == info == {item.path: item.blob_id for item in api.list_repo_tree(model, revision=released)}
    answer = raw("POST", f"/api/models/{model}/preupload/v1", b'{"files": [{"path": "file.txt", "size": 5}]}')
    assert answer.json["commitOid"] == released
    api.create_tag(model, tag="v2", revision="v1")
    assert api.model_info(model, revision="v2").sha == released
