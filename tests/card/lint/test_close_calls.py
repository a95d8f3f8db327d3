"""What looks like a fault and is none, as real cards have it, and faults in places where they are easily missed."""

import pytest

from hubtune.card.lint import CardSource, lint_source
from tests.card.lint.cards import BODY, body, card, files


def found(text: str) -> list[tuple[str, str]]:
    given = body(text, exists=files("README.md", "logo.png")).given()
    return [(finding.rule, finding.message) for finding in lint_source(given).findings]


def block(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


@pytest.mark.parametrize(
    "text",
    [
        "Words <!-- <script> and <iframe> --> in a line.",
        "<!--\n<script>old()</script>\n-->\n\nWords.",
        '<img src="logo.png" alt="">',
        '<h2 align="center">The <b>numbers</b> &amp; more</h2>\n\nSee [them](#the-numbers--more).',
        "![A badge](data:image/svg+xml;base64,PHN2Zy8+)",
        block("python", "!pip install a \\", "  b \\", "  c", "x = 1"),
        block("python", "config = LoraConfig(r=8, ...)"),
        block("python", "row = {'author': 'Ann', ...}", "rows = [row, ...,", "]"),
        block("json", "{", '  "author": "Ann",', "  ...", "}"),
        block("yaml", "a: 1", "---", "b: !lambda 2"),
    ],
)
def test_a_card_in_order_is_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "rule", "message"),
    [
        ("<!-- a --><script>x</script>", "active-html", "<script> runs scripts or embeds content; the Hub removes it"),
        ("[a](data:text/html;base64,PHA+)", "script-link", "the link 'data:text/html;base64,PHA+' runs a script"),
        (block("python", "f(a=1, ...", "g("), "snippet-python", "this is not Python: '(' was never closed"),
        (block("python", "'a, ...' b"), "snippet-python", "this is not Python: invalid syntax"),
        (block("json", '{"a": "..." 1}'), "snippet-json", "this is not JSON: Expecting ',' delimiter"),
    ],
)
def test_a_fault_is_found_all_the_same(text: str, rule: str, message: str) -> None:
    assert found(text) == [(rule, message)]


def test_a_heading_in_html_is_a_section() -> None:
    text = card(body=BODY.replace("## Limitations\n", "<h2><em>Limitations</em> of it</h2>\n"))
    assert lint_source(CardSource(text.encode())).findings == []


@pytest.mark.parametrize("piece", ["<!--", "<h1>", "<h1></", "</", "<h1></h1>", "-->", "<!---->"])
def test_html_without_end_ends_in_a_report(piece: str) -> None:
    text = card(body=BODY + "\n<p>\n" + (piece + "\n") * 20_000)
    rules = {finding.rule for finding in lint_source(CardSource(text.encode())).findings}
    assert rules <= {"section-empty", "section-missing", "active-html"}
