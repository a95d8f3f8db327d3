"""Whatever a card is, it ends in a report, in time that grows with its length."""

import random

import pytest

from hubtune.card.lint import CardSource, lint_source, lint_text

FRONT = "---\nlicense: mit\n---\n"
PIECES = {
    "brackets": "[",
    "pictures": "![",
    "open links": "[a](",
    "stars": "*a ",
    "emphasis": "**a*b_",
    "angles": "<",
    "tags": '<a b="',
    "comments": "<!--",
    "quotations": ">",
    "lists": "- a\n",
    "references": "[a]: b\n",
    "tables": "|a|b|\n|-|-|\n",
    "line ends": "\n",
    "fences": "```\n",
    "templates": "{{ ",
    "blanks": "[your ",
    "headings": "# a\n",
    "numbers": "1,111",
    "claims": "state of the art ",
    "controls": "\x01\n",
    "directions": "\u202e\n",
    "nulls": "\0",
    "returns": "\r",
    "anchors": "[a](#b)\n",
    "entities": "&#",
    "broken Python": "```python\nx=(\n```\n",
}
WHOLE = {
    "deep quotations": ("> " * 200 + "a\n") * 100,
    "deep lists": "".join(f"{'  ' * n}- a\n" for n in range(300)),
    "nested brackets": "[" * 20_000 + "]" * 20_000,
    "runs of backticks": "".join("`" * n + " " for n in range(300)),
    "a wide table": "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "|x" * 5_000,
    "deep Python": "```python\n" + "(" * 20_000 + "\n```",
    "long Python": "```python\nx" + ".a" * 20_000 + "\n```",
    "negative Python": "```python\n" + "-" * 20_000 + "1\n```",
    "deep JSON": "```json\n" + "[" * 40_000 + "\n```",
    "deep YAML": "```yaml\n" + "[" * 40_000 + "\n```",
    "null in Python": "```python\nx = '\0'\n```",
}
METADATA = {
    "deep": "[" * 40_000,
    "deep keys": "a: [" * 10_000,
    "many keys": "".join(f"k{n}: v\n" for n in range(4_000)),
    "one key": "a: b\n" * 5_000,
    "a bomb": "a: &a [x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)),
    "a loop": "a: &a [*a]",
    "keys that are lists": "? [a, b]\n: c",
    "a date that is none": "a: 2024-02-30",
    "a model-index of texts": "model-index: [a, {results: [b, {metrics: [c, {value: []}], dataset: 1}]}]",
    "tags that are keys": "tags: {hubtune: 1}\nlicense: {a: b}\nbase_model: [[a]]\nlicense_link: {a: b}",
    "half a surrogate": 'license: "\\ud800"',
    "Python's own": "a: !!python/object/apply:os.system [id]",
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES.keys())
def test_long_repetition_ends_in_a_report(piece: str, trials) -> None:
    """A square of the length, at 40,000 characters, would be noticed by whoever waits for this test."""
    assert lint_text(FRONT + piece * (trials(40_000, 80_000) // len(piece))).findings


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE.keys())
def test_nesting_ends_in_a_report(text: str) -> None:
    assert lint_text(FRONT + text).findings


@pytest.mark.parametrize("text", METADATA.values(), ids=METADATA.keys())
def test_metadata_ends_in_a_report(text: str) -> None:
    assert lint_text(f"---\n{text}\n---\n# Card\n").findings


@pytest.mark.parametrize("size", [0, 1, 1_000, 100_000])
def test_bytes_that_are_no_text_end_in_a_report(size: int) -> None:
    assert lint_source(CardSource(random.Random(size).randbytes(size))).errors >= 1


def test_ten_megabytes_are_one_finding_and_nothing_else_is_looked_at() -> None:
    report = lint_source(CardSource(b"[" * 10_000_000))
    assert [finding.rule for finding in report.findings] == ["card-too-large"]


def test_noise_ends_in_a_report(trials) -> None:
    noise = random.Random(7)
    for _ in range(trials(100, 5_000)):
        body = "".join(noise.choices("[]()*_`<>!#-|\n \\&:a1{}~+=\"'", k=300))
        front = "".join(noise.choices("[]{}:,-&*!|>'\"\n a1tags", k=80))
        assert lint_text(f"---\nlicense: mit\n{front}\n---\n{body}").findings


def test_many_findings_of_a_kind_are_cut_short() -> None:
    found = [one for one in lint_text(FRONT + "\x01\n" * 500).findings if one.rule == "control-character"]
    assert len(found) == 51
    assert found[-1].message == "and 450 more of this kind"
