"""To know the digest of a large file is not to have it: nobody gets at what only another repository holds."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError

from hubtune.localhub import EmbeddedHub, HubOptions

SECRET = b"\0secret weights" * 300
SHA = hashlib.sha256(SECRET).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize {len(SECRET)}\n"
LARGE = {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": SHA, "size": len(SECRET)}}
LEDGER = "repos/models/{}.git/large-files"


@pytest.fixture
def raw(guarded, raw_client):
    return raw_client(guarded.url)


@pytest.fixture
def secret(as_user):
    """A private repository of ann's, and a repository of eve's own."""
    as_user("ann").create_repo("ann/secret", private=True)
    as_user("ann").upload_file(path_or_fileobj=SECRET, path_in_repo="w.bin", repo_id="ann/secret")
    as_user("eve").create_repo("eve/model")


def batch(raw, repo="eve/model", token="t-eve", operation="upload", **more):
    body = {"operation": operation, "objects": [{"oid": SHA, "size": len(SECRET)}], **more}
    answer = raw("POST", f"/{repo}.git/info/lfs/objects/batch", json.dumps(body).encode(), token=token)
    return answer.json["objects"][0]


def upload_path(raw, guarded, **options):
    return batch(raw, **options)["actions"]["upload"]["href"].removeprefix(guarded.url)


def commit(raw, change, repo="eve/model", token="t-eve", query=""):
    lines = [{"key": "header", "value": {"summary": "s"}}, change]
    body = "\n".join(map(json.dumps, lines)).encode()
    return raw("POST", f"/api/models/{repo}/commit/main{query}", body, token=token)


def served(raw, repo="eve/model", token="t-eve", path="w.bin"):
    return raw("GET", f"/{repo}/resolve/main/{path}", token=token)


def files(root):
    return sorted(path.name for path in (root / "objects").rglob("*") if path.is_file())


@pytest.mark.parametrize("query", ["", "?create_pr=1"])
def test_a_digest_is_not_enough_to_commit_a_large_file(raw, secret, query):
    answer = commit(raw, LARGE, query=query)
    assert (answer.status, SHA in answer.json["error"]) == (400, True)
    assert served(raw).status == 404


def test_a_pointer_written_as_an_ordinary_file_does_not_become_the_large_file(raw, secret):
    answer = commit(raw, {"key": "file", "value": {"path": "w.bin", "content": POINTER}})
    assert answer.status == 400
    assert SECRET not in served(raw).body


def test_an_address_to_upload_to_is_none_to_download_from(raw, guarded, secret):
    answer = raw("GET", upload_path(raw, guarded), token=None)
    assert (answer.status, SECRET in answer.body) == (403, False)


def test_a_batch_does_not_tell_what_other_repositories_hold(raw, secret):
    assert "upload" in batch(raw)["actions"]
    assert "error" in batch(raw, operation="download")


def test_who_sends_the_content_has_it_and_the_store_keeps_the_copy_it_had(raw, guarded, secret, root):
    stored = root / "objects" / SHA[:2] / SHA[2:4] / SHA
    before = stored.stat()
    assert raw("PUT", upload_path(raw, guarded), SECRET, token=None).status == 200
    assert (stored.stat().st_ino, stored.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "actions" not in batch(raw)
    assert commit(raw, LARGE).status == 200
    assert served(raw).body == SECRET
    assert (files(root), list((root / "tmp").iterdir())) == ([SHA], [])


@pytest.mark.parametrize("body", [b"x" * len(SECRET), SECRET[:-1] + b"x", SECRET[:-1]])
def test_another_content_is_refused_also_where_the_store_has_the_right_one(raw, guarded, secret, body):
    path = upload_path(raw, guarded)
    assert raw("PUT", path, body, token=None).status == 400
    assert "upload" in batch(raw)["actions"]
    assert commit(raw, LARGE).status == 400
    assert served(raw, "ann/secret", "t-ann").body == SECRET


def test_an_upload_counts_for_its_own_repository_alone(raw, guarded, as_user, secret):
    as_user("eve").create_repo("eve/other")
    path = upload_path(raw, guarded)
    assert raw("PUT", path.replace("eve%2Fmodel", "eve%2Fother"), SECRET, token=None).status == 403
    assert raw("PUT", path, SECRET, token=None).status == 200
    assert commit(raw, LARGE, "eve/other").status == 400
    assert commit(raw, LARGE, "eve/model").status == 200


def test_the_client_sends_the_same_file_to_each_repository(as_user, secret, requests, tmp_path):
    eve = as_user("eve")
    eve.create_repo("eve/data", repo_type="dataset")
    for repo, type_ in (("eve/model", "model"), ("eve/data", "dataset"), ("eve/data", "dataset")):
        eve.upload_file(path_or_fileobj=SECRET, path_in_repo="w.bin", repo_id=repo, repo_type=type_)
    sent = [line for line in requests() if line["method"] == "PUT"]
    assert len(sent) == 3
    assert eve.hf_hub_download("eve/data", "w.bin", repo_type="dataset", local_dir=tmp_path)


def test_a_large_file_of_a_gated_repository_is_not_duplicated_by_who_may_not_read_it(raw, as_user, secret):
    as_user("ann").create_repo("ann/gated")
    as_user("ann").upload_file(path_or_fileobj=SECRET, path_in_repo="w.bin", repo_id="ann/gated")
    as_user("ann").update_repo_settings("ann/gated", gated="manual")
    body = {"target": {"type": "model", "name": "eve/model"}, "files": [{"sha256": SHA, "filename": "w.bin"}]}
    for repo in ("ann/gated", "ann/secret"):
        assert raw(
            "POST", f"/api/models/{repo}/lfs-files/duplicate", json.dumps(body).encode(), token="t-eve"
        ).status in {403, 404}
    assert commit(raw, LARGE).status == 400


def test_a_proposal_may_name_what_its_author_uploaded_and_the_merge_keeps_it(raw, guarded, as_user, secret):
    as_user("ann").create_repo("ann/open")
    assert commit(raw, LARGE, "ann/open", "t-pam", "?create_pr=1").status == 400
    path = upload_path(raw, guarded, repo="ann/open", token="t-pam")
    assert raw("PUT", path, SECRET, token=None).status == 200
    assert commit(raw, LARGE, "ann/open", "t-pam", "?create_pr=1").status == 200
    as_user("ann").merge_pull_request("ann/open", 1)
    assert served(raw, "ann/open", "t-eve").body == SECRET


def test_the_ledger_moves_and_goes_with_the_repository(raw, guarded, as_user, secret, root):
    eve = as_user("eve")
    address = upload_path(raw, guarded)
    eve.move_repo("eve/model", "eve/moved")
    assert raw("PUT", address, SECRET, token=None).status == 200
    assert [path.name for path in (root / LEDGER.format("eve/moved")).iterdir()] == [SHA]
    assert commit(raw, LARGE, "eve/moved").status == 200
    eve.delete_repo("eve/moved")
    assert raw("PUT", address, SECRET, token=None).status == 404
    eve.create_repo("eve/moved")
    assert commit(raw, LARGE, "eve/moved").status == 400


@pytest.mark.parametrize("rewrite", [True, False])
def test_a_large_file_deleted_for_good_is_gone_here_and_stays_where_others_use_it(raw, as_user, secret, root, rewrite):
    eve = as_user("eve")
    head = eve.upload_file(path_or_fileobj=SECRET, path_in_repo="w.bin", repo_id="eve/model").oid
    eve.permanently_delete_lfs_files("eve/model", list(eve.list_lfs_files("eve/model")), rewrite_history=rewrite)
    assert raw("GET", f"/eve/model/resolve/{head}/w.bin", token="t-eve").headers["x-error-code"] == "EntryNotFound"
    assert list((root / LEDGER.format("eve/model")).iterdir()) == []
    assert commit(raw, LARGE).status == 400
    assert "error" in batch(raw, operation="download")
    assert served(raw, "ann/secret", "t-ann").body == SECRET
    ann = as_user("ann")
    ann.permanently_delete_lfs_files("ann/secret", list(ann.list_lfs_files("ann/secret")))
    assert files(root) == []


def test_what_was_uploaded_and_not_committed_yet_is_not_lost_when_another_repository_deletes_it(
    raw, guarded, as_user, secret
):
    assert raw("PUT", upload_path(raw, guarded), SECRET, token=None).status == 200
    ann = as_user("ann")
    ann.permanently_delete_lfs_files("ann/secret", list(ann.list_lfs_files("ann/secret")))
    assert commit(raw, LARGE).status == 200
    assert served(raw).body == SECRET


def test_a_folder_from_before_the_ledgers_keeps_working(root, auth, raw_client, as_user, guarded, secret):
    ann = as_user("ann")
    many = [CommitOperationAdd(f"d/{n}.txt", str(n).encode()) for n in range(120)]
    old = b"\0old weights" * 99
    ann.create_commit("ann/secret", [CommitOperationAdd("old.bin", old), *many], commit_message="pack")
    ann.delete_file("old.bin", "ann/secret")
    guarded.stop()
    for repo in ("ann/secret", "eve/model"):
        shutil.rmtree(root / LEDGER.format(repo))
    with EmbeddedHub(root, HubOptions(auth=auth)) as hub:
        raw = raw_client(hub.url)
        assert served(raw, "ann/secret", "t-ann").body == SECRET
        assert {path.name for path in (root / LEDGER.format("ann/secret")).iterdir()} == {
            SHA,
            hashlib.sha256(old).hexdigest(),
        }
        assert commit(raw, LARGE).status == 400
        assert commit(raw, {**LARGE, "value": {**LARGE["value"], "path": "x.bin"}}, "ann/secret", "t-ann").status == 200


def test_a_damaged_object_does_not_keep_an_old_folder_from_being_served(root, auth, raw_client, guarded, secret):
    guarded.stop()
    repo = root / "repos/models/ann/secret.git"
    shutil.rmtree(repo / "large-files")
    head = (repo / "refs/heads/main").read_text().strip()
    (repo / "objects" / head[:2] / head[2:]).chmod(0o644)
    (repo / "objects" / head[:2] / head[2:]).write_bytes(b"damaged")
    with EmbeddedHub(root, HubOptions(auth=auth)) as hub:
        assert raw_client(hub.url)("GET", "/api/models/eve/model", token="t-eve").status == 200
    assert [path.name for path in (repo / "large-files").iterdir()] == [SHA]


def test_the_same_file_may_come_to_many_repositories_at_once(raw, guarded, as_user, secret, root):
    repos = [f"eve/m{n}" for n in range(8)]
    for repo in repos:
        as_user("eve").create_repo(repo)
    paths = [upload_path(raw, guarded, repo=repo) for repo in [*repos, *repos]]
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status for answer in pool.map(lambda path: raw("PUT", path, SECRET, None), paths)} == {200}
    assert {commit(raw, LARGE, repo).status for repo in repos} == {200}
    assert files(root) == [SHA]


def test_the_client_is_told_what_is_missing(as_user, secret, monkeypatch):
    monkeypatch.setattr("huggingface_hub._commit_api._upload_lfs_files", lambda **_: None)
    with pytest.raises(HfHubHTTPError, match="was not uploaded to the repository"):
        as_user("eve").upload_file(path_or_fileobj=SECRET, path_in_repo="w.bin", repo_id="eve/model")
