"""Whatever a card says: it is an error of the card or a value that every answer can hold."""

import json

import pytest


def commit(raw, change):
    lines = [{"key": "header", "value": {"summary": "s"}}, change]
    return raw("POST", "/api/models/org/model/commit/main", "\n".join(map(json.dumps, lines)).encode())


@pytest.mark.parametrize(
    "text",
    [
        'a: !!int ""',
        'a: !!int "_"',
        'a: !!float ""',
        'a: !!bool "x"',
        'a: !!timestamp "x"',
        'a: "\\UFFFFFFFF"',
        f"a: 1:{':'.join(['00'] * 400)}.0",
        f"a: 0x{'f' * 4000}",
        f"? 0x{'f' * 4000}\n: 1",
        'language: "\\ud800"',
    ],
)
def test_yaml_values_that_are_none_are_an_error_of_the_card(raw, model, text):
    card = f"---\n{text}\n---\n"
    answer = raw("POST", "/api/validate-yaml", json.dumps({"content": card}).encode())
    assert (answer.status, len(answer.json["errors"])) == (400, 1)
    assert commit(raw, {"key": "file", "value": {"path": "README.md", "content": card}}).status == 400


@pytest.mark.parametrize("text", ['tags: ["\\ud800"]', '"\\ud800": 1', "a: [.nan, .inf]", f"a: 0x{'f' * 4000}"])
def test_a_card_with_odd_values_spoils_no_answer(raw, model, text):
    # A copy, because only what is sent as README.md is checked.
    assert commit(raw, {"key": "file", "value": {"path": "a.md", "content": f"---\n{text}\n---\n"}}).status == 200
    assert commit(raw, {"key": "copyFile", "value": {"path": "README.md", "srcPath": "a.md"}}).status == 200
    for path in (f"/api/models/{model}", "/api/models?full=true", "/api/models-tags-by-type"):
        answer = raw("GET", path)
        assert answer.status == 200
        json.loads(answer.body, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("text", ["---" + "\n" * 20_000, "---\n" + "\r\n" * 20_000 + "--", " " * 100_000])
def test_a_card_of_line_ends_keeps_nobody_waiting(raw, model, text):
    answer = raw("POST", "/api/validate-yaml", json.dumps({"content": text}).encode())
    assert (answer.status, len(answer.json["warnings"])) == (200, 1)


def test_an_error_of_any_length_fits_into_its_header(raw, model):
    card = "---\nlanguage:\n" + "- 7\n" * 20_000 + "---\n"
    answer = commit(raw, {"key": "file", "value": {"path": "README.md", "content": card}})
    assert (answer.status, len(answer.headers["x-error-message"])) == (400, 16 * 1024)
    assert answer.json["error"].endswith('"language[19999]" must be a string')
