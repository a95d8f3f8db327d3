"""Values that only a broken or a hostile client sends: each is the client's mistake, and spoils nothing for others."""

import base64
import gzip
import json

import pytest

GATE = "/api/models/org/model/user-access-request"


def commit(raw, query="", **header):
    lines = [{"key": "header", "value": {"summary": "s", **header}}]
    lines += [{"key": "file", "value": {"path": "a.txt", "content": "x"}}]
    return raw("POST", f"/api/models/org/model/commit/main{query}", "\n".join(map(json.dumps, lines)).encode())


def post(raw, path, body):
    return raw("POST", path, json.dumps(body).encode())


@pytest.fixture
def gate(raw, model):
    raw("PUT", f"/api/models/{model}/settings", b'{"gated": "manual"}')
    assert post(raw, f"{GATE}/grant", {"user": "bob"}).status == 200


def test_a_password_that_is_no_text_signs_nobody_in(raw):
    assert raw("GET", "/api/whoami-v2", token=None, Authorization="Basic \xff").status == 401


@pytest.mark.parametrize("origin", ["http://[bad", "http://[::1", "//[", "http://\u00bd"])
def test_an_origin_that_is_no_address_is_another_origin(raw, origin):
    assert raw("GET", "/api/whoami-v2", Origin=origin).status == 403


@pytest.mark.parametrize("cursor", [b"[" * 40_000, b"7", b'["a"]', b"\xff"])
def test_a_cursor_that_was_made_up_is_a_bad_request(raw, model, cursor):
    assert raw("GET", f"/api/models?cursor={base64.urlsafe_b64encode(cursor).decode()}").status == 400


def test_nobody_has_the_empty_name(raw, gate):
    assert post(raw, f"{GATE}/grant", {"user": ""}).status == 404
    assert post(raw, f"{GATE}/handle", {"user": "", "status": "accepted"}).status == 404


@pytest.mark.parametrize("reason", [["x"], {"x": 1}, 7, True, "", "x" * 200])
def test_a_reason_of_another_kind_does_not_spoil_the_access_list(raw, gate, reason):
    answer = post(raw, f"{GATE}/handle", {"user": "bob", "status": "rejected", "rejectionReason": reason})
    assert answer.status == (200 if isinstance(reason, str) else 400)
    for status in ("accepted", "rejected"):
        assert raw("GET", f"{GATE}/{status}").status == 200


def test_the_answers_to_a_gate_are_bounded(raw, gate):
    assert raw("POST", "/org/model/ask-access", b"why=" + b"x" * (64 * 1024)).status == 413
    assert raw("POST", "/org/model/ask-access", b"why=" + b"x" * 1024).status == 303


def test_comments_are_bounded(raw, model):
    longest = "x" * 65_536
    where = f"/api/models/{model}/discussions"
    opened = {"title": "one", "description": longest, "pullRequest": True}
    assert post(raw, where, {**opened, "description": longest + "x"}).status == 400
    assert post(raw, where, opened).status == 200
    assert post(raw, f"{where}/1/comment", {"comment": longest + "x"}).status == 400
    assert post(raw, f"{where}/1/status", {"status": "open", "comment": longest + "x"}).status == 400
    assert post(raw, f"{where}/1/comment", {"comment": longest}).status == 200


@pytest.mark.parametrize("query", ["", "?create_pr=1"])
@pytest.mark.parametrize("field", ["summary", "description", "parentCommit"])
def test_half_a_surrogate_pair_in_a_commit_leaves_no_half_of_it(raw, model, query, field):
    before = raw("GET", f"/api/models/{model}/refs?include_prs=1").json
    assert commit(raw, query, **{field: "\ud800abc"}).status == 400
    assert raw("GET", f"/api/models/{model}/refs?include_prs=1").json == before
    assert commit(raw, query, summary="\U0001f917 abc").status == 200


def packet(text):
    return b"%04x" % (len(text) + 4) + text


@pytest.mark.parametrize("depth", [b"x", b"", b"9" * 5000])
def test_a_depth_that_is_none_is_a_bad_request(raw, model, depth):
    head = raw("GET", f"/api/models/{model}").json["sha"].encode()
    body = packet(b"want " + head + b" side-band-64k thin-pack ofs-delta shallow\n") + packet(b"deepen " + depth)
    assert raw("POST", f"/{model}/git-upload-pack", body + b"0000").status == 400


def test_a_damaged_gzip_body_is_a_bad_request(raw, model):
    body = bytearray(gzip.compress(bytes(range(256)) * 20))
    body[12:16] = b"\xff\xff\xff\xff"
    assert raw("POST", f"/{model}/git-upload-pack", bytes(body), Content_Encoding="gzip").status == 400
