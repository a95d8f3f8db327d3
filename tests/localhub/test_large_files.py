import hashlib
import json
import os

import pytest

CONTENT = b"weights " * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


def batch(raw, **objects):
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": SHA, "size": len(CONTENT)}]}
    return raw("POST", "/org/model.git/info/lfs/objects/batch", json.dumps(body).encode())


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
