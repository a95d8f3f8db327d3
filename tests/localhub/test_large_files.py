import hashlib
import json
import os
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from huggingface_hub import HfApi

from hubtune.localhub import EmbeddedHub, HubOptions

CONTENT = b"weights " * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


def batch(raw, operation="upload", repo="org/model", token="t"):
    body = {"operation": operation, "transfers": ["basic"], "objects": [{"oid": SHA, "size": len(CONTENT)}]}
    return raw("POST", f"/{repo}.git/info/lfs/objects/batch", json.dumps(body).encode(), token=token)


def upload_path(raw, url):
    return batch(raw).json["objects"][0]["actions"]["upload"]["href"].removeprefix(url)


def test_a_stored_object_is_not_asked_for_again(raw, hub, model, root):
    answer = raw("PUT", upload_path(raw, hub.url), CONTENT, token=None)
    assert answer.status == 200
    assert "actions" not in batch(raw).json["objects"][0]
    assert (root / "objects" / SHA[:2] / SHA[2:4] / SHA).read_bytes() == CONTENT


@pytest.mark.parametrize("body", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_an_upload_that_differs_from_what_was_announced_is_refused(raw, hub, model, root, body):
    assert raw("PUT", upload_path(raw, hub.url), body, token=None).status == 400
    assert [path for path in (root / "objects").rglob("*") if path.is_file()] == []
    assert list((root / "tmp").iterdir()) == []


def test_an_upload_address_cannot_be_made_up(raw, model):
    path = f"/api/large-files/{SHA}?size={len(CONTENT)}&signature={'0' * 64}"
    assert raw("PUT", path, CONTENT).status == 403


def test_two_repos_share_one_copy(api, root):
    content = os.urandom(3000)
    for repo in ("org/a", "org/b"):
        api.create_repo(repo)
        api.upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id=repo)
    assert len([path for path in (root / "objects").rglob("*") if path.is_file()]) == 1
    api.delete_repo("org/a")
    assert api.get_paths_info("org/b", ["w.bin"])[0].size == 3000


def test_git_lfs_is_told_where_to_download_what_a_repo_refers_to(api, raw, hub, model):
    api.upload_file(path_or_fileobj=CONTENT, path_in_repo="w.bin", repo_id=model)
    (row,) = batch(raw, "download", token=None).json["objects"]
    answer = raw("GET", row["actions"]["download"]["href"].removeprefix(hub.url), token=None)
    assert (answer.status, answer.body) == (200, CONTENT)
    api.create_repo("org/other")
    (row,) = batch(raw, "download", "org/other").json["objects"]
    assert (row["error"]["code"], "actions" in row) == (404, False)


def test_git_lfs_gets_nothing_of_private_and_gated_repos(as_user, guarded, raw_client):
    raw = raw_client(guarded.url)
    ann = as_user("ann")
    ann.create_repo("acme/secret", private=True)
    ann.create_repo("acme/gated")
    ann.update_repo_settings("acme/gated", gated="manual")
    assert batch(raw, "download", "acme/secret", "t-eve").headers["x-error-code"] == "RepoNotFound"
    assert batch(raw, "download", "acme/gated", "t-eve").headers["x-error-code"] == "GatedRepo"
    assert batch(raw, "download", "acme/gated", "t-rob").status == 200


@pytest.mark.parametrize("body", [b"{}", b'{"operation": "verify", "objects": []}', b'{"operation": "upload"}'])
def test_a_batch_that_makes_no_sense_is_refused(raw, model, body):
    assert raw("POST", f"/{model}.git/info/lfs/objects/batch", body).status == 422


def href(row, operation, url):
    return row["actions"][operation]["href"].removeprefix(url)


def test_an_address_is_over_after_its_time(api, raw, hub, model, monkeypatch):
    (row,) = batch(raw).json["objects"]
    upload, lasts = href(row, "upload", hub.url), row["actions"]["upload"]["expires_in"]
    now = time.time()
    monkeypatch.setattr("hubtune.localhub.api.upload_routes.time.time", lambda: now + lasts + 1)
    answer = raw("PUT", upload, CONTENT, token=None)
    assert (answer.status, "expired" in answer.json["error"]) == (403, True)
    monkeypatch.setattr("hubtune.localhub.api.upload_routes.time.time", lambda: now + lasts - 10)
    assert raw("PUT", upload, CONTENT, token=None).status == 200
    api.upload_file(path_or_fileobj=CONTENT, path_in_repo="w.bin", repo_id=model)
    (row,) = batch(raw, "download").json["objects"]
    download, lasts = href(row, "download", hub.url), row["actions"]["download"]["expires_in"]
    assert raw("GET", download, token=None).status == 200
    monkeypatch.setattr("hubtune.localhub.api.upload_routes.time.time", lambda: now + 2 * 12 * 3600)
    assert raw("GET", download, token=None).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "99999999999"},
        {"expires": ""},
        {"user": "ann"},
        {"repo": "models/org/other"},
        {"size": "8001"},
        {"signature": ""},
        {"signature": "\u00fc"},
    ],
)
def test_no_part_of_an_address_can_be_changed(api, raw, hub, model, change):
    api.create_repo("org/other")
    parts = urlsplit(upload_path(raw, hub.url))
    changed = f"{parts.path}?{urlencode(dict(parse_qsl(parts.query)) | change)}"
    assert raw("PUT", changed, CONTENT).status == 403
    assert raw("GET", f"{parts.path}?{parts.query}").status == 403


@pytest.mark.parametrize("change", ["private", "gated", "rejected", "deleted"])
def test_an_address_gives_nothing_to_a_user_who_may_not_read_any_more(as_user, guarded, raw_client, change):
    raw, ann = raw_client(guarded.url), as_user("ann")
    ann.create_repo("ann/model")
    ann.upload_file(path_or_fileobj=CONTENT, path_in_repo="w.bin", repo_id="ann/model")
    if change == "rejected":
        ann.update_repo_settings("ann/model", gated="auto")
        ann.grant_access("ann/model", "eve")
    own, others = (
        href(batch(raw, "download", "ann/model", token).json["objects"][0], "download", guarded.url)
        for token in ("t-ann", "t-eve")
    )
    assert raw("GET", others, token=None).body == CONTENT
    if change == "deleted":
        ann.delete_repo("ann/model")
    elif change == "rejected":
        ann.reject_access_request("ann/model", "eve", rejection_reason="no")
    else:
        ann.update_repo_settings("ann/model", **({"private": True} if change == "private" else {"gated": "manual"}))
    answer = raw("GET", others, token=None)
    assert answer.status in {403, 404}
    assert answer.headers["x-error-code"] in {"RepoNotFound", "GatedRepo"}
    assert raw("GET", own, token=None).status == (404 if change == "deleted" else 200)


@pytest.mark.parametrize("change", ["private", "gated", "deleted"])
def test_an_address_takes_nothing_from_a_user_who_may_not_propose_any_more(as_user, guarded, raw_client, root, change):
    raw, ann = raw_client(guarded.url), as_user("ann")
    ann.create_repo("ann/model")
    own, others = (
        href(batch(raw, "upload", "ann/model", token).json["objects"][0], "upload", guarded.url)
        for token in ("t-ann", "t-eve")
    )
    if change == "deleted":
        ann.delete_repo("ann/model")
    else:
        ann.update_repo_settings("ann/model", **({"private": True} if change == "private" else {"gated": "manual"}))
    assert raw("PUT", others, CONTENT, token=None).status == (403 if change == "gated" else 404)
    assert [path for path in (root / "objects").rglob("*") if path.is_file()] == []
    assert raw("PUT", own, CONTENT, token=None).status == (404 if change == "deleted" else 200)


@pytest.mark.parametrize(
    "change", [("token: t-eve", "token: t-new"), ("name: eve", "name: bob"), ("t-eve", "t-eve, role: read")]
)
def test_an_address_is_over_when_the_token_that_asked_for_it_is_taken_back(root, auth, raw_client, change):
    with EmbeddedHub(root, HubOptions(auth=auth)) as hub:
        HfApi(endpoint=hub.url, token="t-eve").create_repo("eve/model", private=True)
        raw = raw_client(hub.url)
        upload = href(batch(raw, "upload", "eve/model", "t-eve").json["objects"][0], "upload", hub.url)
        assert raw("PUT", upload, CONTENT, token=None).status == 200
        api = HfApi(endpoint=hub.url, token="t-eve")
        api.upload_file(path_or_fileobj=CONTENT, path_in_repo="w.bin", repo_id="eve/model")
        download = href(batch(raw, "download", "eve/model", "t-eve").json["objects"][0], "download", hub.url)
        assert raw("GET", download, token=None).body == CONTENT
    # The file is read when a Hub starts.
    auth.write_text(auth.read_text().replace(*change))
    with EmbeddedHub(root, HubOptions(auth=auth)) as hub:
        raw = raw_client(hub.url)
        assert (raw("PUT", upload, CONTENT, token=None).status, raw("GET", download, token=None).status) == (403, 403)
