import hashlib
import os
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, get_hf_file_metadata, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

WEIGHTS = os.urandom(3_000_000)
SHA = hashlib.sha256(WEIGHTS).hexdigest()
BIG, SMALL = "/org/model/resolve/main/w.bin", "/org/model/resolve/main/a.txt"


@pytest.fixture
def commit(api, model):
    operations = [CommitOperationAdd("a.txt", b"0123456789"), CommitOperationAdd("w.bin", WEIGHTS)]
    made = api.create_commit(model, operations, commit_message="fill")
    api.create_tag(model, tag="v1", revision=made.oid)
    api.upload_file(path_or_fileobj=b"later", path_in_repo="a.txt", repo_id=model)
    return made.oid


@pytest.mark.parametrize("by", ["tag", "commit"])
def test_a_file_and_a_snapshot_come_from_the_revision_asked_for(api, model, commit, tmp_path, by):
    revision = {"tag": "v1", "commit": commit}[by]
    where = {"endpoint": api.endpoint, "cache_dir": tmp_path / "cache", "revision": revision}
    assert Path(hf_hub_download(model, "a.txt", **where)).read_bytes() == b"0123456789"
    folder = Path(snapshot_download(model, **where))
    assert folder.name == commit
    assert (folder / "w.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == [".gitattributes", "a.txt", "w.bin"]


def test_a_broken_download_is_resumed_where_it_ended(api, model, commit, tmp_path, requests):
    part = tmp_path / "out/.cache/huggingface/download"
    part.mkdir(parents=True)
    hf_hub_download(model, "w.bin", endpoint=api.endpoint, local_dir=tmp_path / "probe")
    with open(tmp_path / "w.part", "wb") as file:
        file.write(WEIGHTS[:1_000_000])
        from huggingface_hub.file_download import http_get

        url = hf_hub_url(model, "w.bin", endpoint=api.endpoint)
        http_get(url, file, resume_size=1_000_000, expected_size=len(WEIGHTS))
    assert (tmp_path / "w.part").read_bytes() == WEIGHTS
    assert requests()[-1]["status"] == 206


def test_the_headers_tell_commit_digest_and_size(api, model, commit, raw):
    large = get_hf_file_metadata(hf_hub_url(model, "w.bin", endpoint=api.endpoint, revision="v1"))
    assert (large.commit_hash, large.etag, large.size) == (commit, SHA, len(WEIGHTS))
    small = raw("HEAD", "/org/model/resolve/v1/a.txt")
    blob = hashlib.sha1(b"blob 10\x000123456789").hexdigest()
    assert small.headers["etag"] == f'"{blob}"'
    assert small.headers["content-length"] == "10"
    assert small.body == b""
    assert "x-linked-etag" not in small.headers
    assert raw("HEAD", BIG).headers["x-linked-size"] == str(len(WEIGHTS))


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=10-99999999", 10, None)],
)
def test_ranges_give_just_those_bytes(raw, commit, asked, start, stop):
    answer = raw("GET", BIG, Range=asked)
    expected = WEIGHTS[start:stop]
    first = start % len(WEIGHTS)
    assert (answer.status, answer.body) == (206, expected)
    last = first + len(expected) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(WEIGHTS)}"


def test_ranges_work_for_small_files_too(raw, commit):
    assert raw("GET", "/org/model/resolve/v1/a.txt", Range="bytes=-3").body == b"789"


@pytest.mark.parametrize("asked", ["bytes=3000000-", "bytes=-0"])
def test_a_range_outside_the_file_is_not_satisfiable(raw, commit, asked):
    answer = raw("GET", BIG, Range=asked)
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */3000000")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=9-2"])
def test_a_range_that_is_not_understood_gives_the_whole_file(raw, commit, asked):
    answer = raw("GET", SMALL, Range=asked)
    assert (answer.status, answer.body) == (200, b"later")


@pytest.mark.parametrize("path", [BIG, SMALL])
def test_a_range_of_another_content_gives_the_whole_file(raw, commit, path):
    etag = raw("HEAD", path).headers["etag"]
    whole = raw("GET", path).body
    for known, expected in ((etag, (206, whole[2:])), ('"other"', (200, whole)), (f"W/{etag}", (200, whole))):
        answer = raw("GET", path, Range="bytes=2-", If_Range=known)
        assert (answer.status, answer.body) == expected


def test_a_missing_file_is_entry_not_found_at_that_commit(api, raw, model, commit, tmp_path):
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(model, "none.txt", endpoint=api.endpoint, cache_dir=tmp_path)
    assert raw("HEAD", f"/org/model/resolve/{commit}/none").headers["x-repo-commit"] == commit
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(model, "a.txt", revision="none", endpoint=api.endpoint, cache_dir=tmp_path)


def test_raw_gives_the_pointer_of_a_large_file(raw, commit):
    body = raw("GET", "/org/model/raw/main/w.bin").body.decode()
    assert body == f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize {len(WEIGHTS)}\n"


def test_the_file_name_is_safe_in_its_header(api, raw, model):
    api.upload_file(path_or_fileobj=b"x", path_in_repo='d/a "b" ü.txt', repo_id=model)
    answer = raw("GET", "/org/model/resolve/main/d%2Fa%20%22b%22%20%C3%BC.txt")
    shown = answer.headers["content-disposition"]
    assert shown == "inline; filename*=UTF-8''a%20%22b%22%20%C3%BC.txt; filename=\"a _b_ _.txt\";"


def test_a_large_file_lost_from_the_store_is_reported_and_not_replaced_by_its_pointer(raw, commit, root):
    (root / "objects" / SHA[:2] / SHA[2:4] / SHA).unlink()
    answer = raw("GET", BIG)
    assert answer.status == 500
    assert SHA in answer.json["error"]
