"""Whatever a card is, it ends in a report, in time that grows with its length."""

import random
import sys
from collections.abc import Callable

import pytest

from hubtune.card.lint import CardSource, LintReport, lint_source, lint_text
from hubtune.card.lint.card import LONGEST_LINE

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
    "nested brackets": "[" * 20_000 + "\n" + "]" * 20_000,
    "runs of backticks": "x" + "".join("`" * n + (" " if n % 30 else "\nx") for n in range(300)),
    "a wide table": "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "|x" * 5_000,
    "deep Python": "```python\n" + "(" * 20_000 + "\n```",
    "long Python": "```python\nx" + ".a" * 9_900 + "\n```",
    "negative Python": "```python\n" + "-" * 19_000 + "1\n```",
    "deep JSON": "```json\n" + ("[" * 20_000 + "\n") * 2 + "```",
    "deep YAML": "```yaml\n" + ("[" * 20_000 + "\n") * 2 + "```",
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


# What is said of these beside what is said of any card with so little in it; of the others, nothing is.
PLAIN = {"library-name-missing", "pipeline-tag-missing", "section-missing"}
FOUND = {
    "headings": {"section-empty"},
    "claims": {"claim-without-number"},
    "controls": {"control-character"},
    "directions": {"direction-character"},
    "nulls": {"control-character"},
    "anchors": {"anchor-dead"},
    "broken Python": {"snippet-python"},
    "deep Python": {"snippet-python"},
    "long Python": {"snippet-python"},
    "negative Python": {"snippet-python"},
    "deep JSON": {"snippet-json"},
    "deep YAML": {"snippet-yaml"},
    "null in Python": {"control-character"},
}
UNREADABLE = {"front-matter-yaml"}
FOUND_IN_METADATA = {
    "deep": UNREADABLE | {"long-line"},
    "deep keys": UNREADABLE | {"long-line"},
    "many keys": {"license-missing", "unknown-key"},
    "one key": {"front-matter-duplicate-key", "license-missing", "unknown-key"},
    "a bomb": UNREADABLE,
    "a loop": UNREADABLE,
    "keys that are lists": UNREADABLE,
    "a date that is none": UNREADABLE,
    "a model-index of texts": {"license-missing", "model-index-form", "model-index-task"},
    "tags that are keys": {"base-model-id", "license-id", "metadata-list", "metadata-text"},
    "half a surrogate": {"license-id"},
    "Python's own": UNREADABLE,
}


def rules(report: LintReport) -> set[str]:
    return {finding.rule for finding in report.findings}


def repeated(piece: str, length: int) -> str:
    """Repeats a piece in lines as long as are looked into."""
    line = piece * (min(length, LONGEST_LINE) // len(piece))
    return "\n".join([line] * (length // len(line)))


@pytest.mark.parametrize("name", PIECES)
def test_long_repetition_is_looked_into_whole(name: str, trials) -> None:
    card = FRONT + repeated(PIECES[name], trials(24_000, 80_000))
    assert rules(lint_text(card)) == PLAIN | FOUND.get(name, set())


@pytest.mark.parametrize("name", PIECES)
def test_twice_the_length_is_twice_the_work(name: str) -> None:
    """Counted in calls, which are the same on every machine."""
    # What is made once in a process is made.
    lint_text(FRONT + repeated(PIECES[name], 500))
    once, twice = (calls(lambda size=size: lint_text(FRONT + repeated(PIECES[name], size))) for size in (1_500, 3_000))
    assert twice < 2.2 * once


def calls(work: Callable[[], object]) -> int:
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", WHOLE)
def test_nesting_ends_in_a_report(name: str) -> None:
    assert rules(lint_text(FRONT + WHOLE[name])) == PLAIN | FOUND.get(name, set())


def test_a_line_that_is_too_long_is_said_and_not_looked_into() -> None:
    assert rules(lint_text(FRONT + "state of the art " * 4_000)) == PLAIN | {"long-line"}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_ends_in_a_report(name: str) -> None:
    found = rules(lint_text(f"---\n{METADATA[name]}\n---\n# Card\n"))
    expected = FOUND_IN_METADATA[name] | {"section-empty", "section-missing"}
    assert found == (expected if "front-matter-yaml" in expected else expected | PLAIN)


@pytest.mark.parametrize(
    ("size", "rule"),
    [(0, "front-matter-missing"), (1, "front-matter-missing"), (1_000, "not-utf8"), (100_000, "not-utf8")],
)
def test_bytes_that_are_no_text_are_told_of(size: int, rule: str) -> None:
    assert rule in rules(lint_source(CardSource(random.Random(size).randbytes(size))))


def test_ten_megabytes_are_one_finding_and_nothing_else_is_looked_at() -> None:
    report = lint_source(CardSource(b"[" * 10_000_000))
    assert [finding.rule for finding in report.findings] == ["card-too-large"]


def test_noise_ends_in_a_report(trials) -> None:
    noise = random.Random(7)
    for _ in range(trials(100, 5_000)):
        body = "".join(noise.choices("[]()*_`<>!#-|\n \\&:a1{}~+=\"'", k=300))
        front = "".join(noise.choices("[]{}:,-&*!|>'\"\n a1tags", k=80))
        found = rules(lint_text(f"---\nlicense: mit\n{front}\n---\n{body}"))
        assert found & {"section-missing", "front-matter-yaml", "front-matter-missing"}, (front, body)


def test_many_findings_of_a_kind_are_cut_short() -> None:
    found = [one for one in lint_text(FRONT + "\x01\n" * 500).findings if one.rule == "control-character"]
    assert len(found) == 51
    assert found[-1].message == "and 450 more of this kind"
