"""Texts that clients send are bounded: what is stored is read again with each look."""

import json

import pytest
from huggingface_hub.errors import HfHubHTTPError

from tests.localhub.test_commits import post_commit

LINE, TEXT = "x" * 1001, "x" * 65_537


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "discussions", {"title": "x" * 201}, "title"),
        ("POST", "discussions", {"title": "one", "description": TEXT}, "description"),
        ("POST", "discussions/1/comment", {"comment": TEXT}, "comment"),
        ("POST", "discussions/1/title", {"title": "x" * 201}, "title"),
        ("POST", "discussions/1/status", {"status": "closed", "comment": TEXT}, "comment"),
        ("POST", "tag/main", {"tag": "v1", "message": TEXT}, "message"),
        ("POST", "super-squash/main", {"message": TEXT}, "message"),
        ("PUT", "settings", {"description": LINE}, "description"),
    ],
)
def test_a_text_that_is_too_long_is_refused_by_its_field(raw, model, method, path, body, field):
    raw("POST", f"/api/models/{model}/discussions", b'{"title": "one", "description": "text"}')
    answer = raw(method, f"/api/models/{model}/{path}", json.dumps(body).encode())
    assert (answer.status, f'"{field}" length must be' in answer.json["error"]) == (400, True)
    shorter = {key: value[:200] for key, value in body.items()}
    assert raw(method, f"/api/models/{model}/{path}", json.dumps(shorter).encode()).status == 200


@pytest.mark.parametrize(("summary", "description"), [(LINE, ""), ("s", TEXT)])
def test_a_commit_s_message_is_bounded(raw, model, summary, description):
    header = {"key": "header", "value": {"summary": summary, "description": description}}
    change = {"key": "file", "value": {"path": "a", "content": "x"}}
    body = f"{json.dumps(header)}\n{json.dumps(change)}".encode()
    answer = raw("POST", f"/api/models/{model}/commit/main", body)
    assert (answer.status, "length must be at most" in answer.json["error"]) == (400, True)


def test_a_card_is_bounded(raw, model):
    card = "x" * ((2 << 20) + 1)
    answer = post_commit(raw, ("file", {"path": "README.md", "content": card}))
    assert (answer.status, "README.md is larger" in answer.json["error"]) == (400, True)
    assert post_commit(raw, ("file", {"path": "other.md", "content": card})).status == 200


@pytest.mark.parametrize(
    "text", ["[" * 60 + "]" * 60, '{"a":' * 60 + "1" + "}" * 60, "[" + "1," * 300_000 + "1]", "9" * 1000]
)
def test_json_that_is_deeper_or_larger_than_any_request_is_a_bad_request(raw, model, text):
    for path in ("discussions", "tag/main", "preupload/main", "commit/main"):
        line = f'{{"key": "header", "value": {{"summary": "s", "x": {text}}}}}'
        answer = raw("POST", f"/api/models/{model}/{path}", line.encode())
        assert answer.status == 400, path


def test_a_discussion_takes_no_comments_without_end(api, model, monkeypatch):
    monkeypatch.setattr("hubtune.localhub.discussions._MOST_EVENTS", 3)
    number = api.create_discussion(model, title="title", description="first").num
    for _ in range(2):
        api.comment_discussion(model, number, comment="more")
    for again in (
        lambda: api.comment_discussion(model, number, comment="too much"),
        lambda: api.rename_discussion(model, number, new_title="other"),
        lambda: api.change_discussion_status(model, number, new_status="closed"),
    ):
        with pytest.raises(HfHubHTTPError, match="takes no more"):
            again()


def test_a_comment_is_not_edited_without_end(api, model, monkeypatch):
    monkeypatch.setattr("hubtune.localhub.discussions._MOST_EDITS", 2)
    found = api.create_discussion(model, title="title", description="first")
    comment = api.get_discussion_details(model, found.num).events[0].id
    for text in ("second", "third"):
        api.edit_discussion_comment(model, found.num, comment, new_content=text)
    with pytest.raises(HfHubHTTPError, match="takes no more edits"):
        api.edit_discussion_comment(model, found.num, comment, new_content="fourth")


def test_folders_that_a_commit_deletes_are_bounded_in_work(api, raw, model, monkeypatch):
    monkeypatch.setattr("hubtune.localhub.tree_edits._MOST_COMPARED", 20)
    assert post_commit(raw, *(("file", {"path": f"d{n}/f", "content": "x"}) for n in range(9))).status == 200
    deletions = [("deletedFolder", {"path": f"d{n}/"}) for n in range(9)]
    assert post_commit(raw, *deletions).status == 413
    assert post_commit(raw, deletions[0]).status == 200
    assert len(api.list_repo_files(model)) == 9
