import pytest
from huggingface_hub import CommitOperationAdd, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError


def test_each_request_is_one_line_with_its_repo_and_revision(api, requests):
    api.create_repo("org/data", repo_type="dataset")
    api.create_branch("org/data", branch="dev/1", repo_type="dataset")
    commit = api.create_commit(
        "org/data",
        [CommitOperationAdd("a.bin", b"\0" * 100)],
        commit_message="m",
        repo_type="dataset",
        revision="dev/1",
    ).oid
    api.create_tag("org/data", tag="v1", revision=commit, repo_type="dataset")
    lines = {(line["method"], line["path"].partition("?")[0]): line for line in requests()}
    for line in lines.values():
        assert list(line) == ["time", "method", "path", "repo", "type", "revision", "status"]
    create = lines["POST", "/api/repos/create"]
    assert (create["repo"], create["type"], create["revision"]) == ("org/data", "dataset", None)
    expected = {
        ("POST", "/api/datasets/org/data/branch/dev%2F1"): "dev/1",
        ("POST", "/api/datasets/org/data/preupload/dev%2F1"): "dev/1",
        ("POST", "/datasets/org/data.git/info/lfs/objects/batch"): "dev/1",
        ("POST", "/api/datasets/org/data/commit/dev%2F1"): "dev/1",
        ("POST", f"/api/datasets/org/data/tag/{commit}"): commit,
    }
    for key, revision in expected.items():
        line = lines[key]
        assert (line["repo"], line["type"], line["revision"], line["status"]) == (
            "org/data",
            "dataset",
            revision,
            200,
        )


def test_a_download_by_commit_asks_for_nothing_but_that_commit(api, model, requests, tmp_path):
    commit = api.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=model).oid
    before = len(requests())
    snapshot_download(model, revision=commit, endpoint=api.endpoint, cache_dir=tmp_path)
    assert {line["revision"] for line in requests()[before:]} == {commit}


def test_failures_are_logged_with_their_status_and_no_token(api, raw, root, requests):
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/none", token="hf_very_secret")
    raw("GET", "/nothing/to/see?x=%20y")
    missing, unknown = requests()[-2:]
    assert (missing["repo"], missing["status"]) == ("org/none", 404)
    assert (unknown["path"], unknown["repo"], unknown["status"]) == ("/nothing/to/see?x=%20y", None, 404)
    assert "secret" not in (root / "requests.jsonl").read_text()


HF_TOKEN = "hf_" + "aB3" * 11


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/api/large-files/{sha}?size=3&repo=a&signature=abc", "/api/large-files/{sha}?size=3&repo=a&signature=***"),
        ("/api/large-files/{sha}?s%69gnature=abc&size=3", "/api/large-files/{sha}?s%69gnature=***&size=3"),
        ("/api/models?Access_Token=abc&search=a%2Fb", "/api/models?Access_Token=***&search=a%2Fb"),
        ("/api/models?x=y&api-key=abc&PASSWORD=d", "/api/models?x=y&api-key=***&PASSWORD=***"),
        ("/api/models?search=t-ann", "/api/models?search=***"),
        ("/api/models?t-ann", "/api/models?***"),
        ("/api/models?search=t%2Dann&a=t-annex", "/api/models?search=***&a=t-annex"),
        ("/api/models/t-annex/model", "/api/models/t-annex/model"),
        ("/api/models/ann/t-ann", "/api/models/ann/***"),
        ("/api/models/{token}/model", "/api/models/***/model"),
        ("/api/models?q=x+{token}", "/api/models?q=***"),
        ("/api/models/org/model/revision/{token}", "/api/models/org/model/revision/***"),
        ("/api/models/org/model/revision/t%252Dann", "/api/models/org/model/revision/***"),
        ("/api/models?search=t%252525252Dann", "/api/models?search=***"),
        ("/api/models?search=%25252Fx%25252Ft%25252Dann", "/api/models?search=***"),
        ("/api/models?to%2525ken=x&%2574oken=abc&a=%2531", "/api/models?to%2525ken=x&%2574oken=***&a=%2531"),
        ("/api/models?q={deep}", "/api/models?q=***"),
        ("/a?b?c=d&e", "/a?b?c=d&e"),
    ],
)
def test_a_secret_in_an_address_is_masked_and_nothing_else(guarded, raw_client, requests, path, logged):
    known = {"sha": "0" * 64, "token": HF_TOKEN, "deep": f"%{'25' * 3000}74-ann"}
    raw_client(guarded.url)("GET", path.format(**known), token="t-ann")
    (line,) = requests()
    assert line["path"] == logged.format(**known)
    assert HF_TOKEN not in str(line)
    assert line["repo"] != "ann/t-ann"


def test_no_address_in_the_log_can_be_used_again(api, hub, raw, model, root, requests):
    api.upload_file(path_or_fileobj=b"\0" * 5000, path_in_repo="w.bin", repo_id=model)
    (put,) = [line["path"] for line in requests() if line["method"] == "PUT"]
    assert "signature=***" in put
    assert raw("PUT", put, b"\0" * 5000).status == 403
