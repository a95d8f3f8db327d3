"""Two cards are compared by their metadata, their results and their sections."""

import pytest

from hubtune.card.diff import CardDiff, diff_cards
from hubtune.card.lint import CardSource
from hubtune.cli.card import change_lines
from hubtune.errors import CardError

BEFORE = """---
license: mit
language: [en]
thumbnail: a.png
model-index:
- name: quotes
  results:
  - dataset: {type: org/quotes, name: Quotes, revision: old}
    metrics: [{type: perplexity, value: 27.4}, {type: bleu, value: 3}]
---
# Quotes

Writes quotes.

## Use

One.
Two.

## Gone

Away.
"""
AFTER = """---
license: apache-2.0
language: [en, de]
pipeline_tag: text-generation
model-index:
- name: quotes
  results:
  - dataset: {type: org/quotes, name: Quotes, revision: new}
    metrics: [{type: perplexity, value: 25.5}]
---
# Quotes, again

Writes quotes.

## Use

One.
Three.

### New

Here.
"""


def diff(before: str, after: str) -> CardDiff:
    return diff_cards(CardSource(before.encode(), path="a"), CardSource(after.encode(), repo="org/b", commit="c"))


def test_the_metadata_is_compared_key_by_key() -> None:
    changes = [(one.key, one.change, one.before, one.after) for one in diff(BEFORE, AFTER).metadata]
    assert changes == [
        ("license", "changed", "mit", "apache-2.0"),
        ("language", "changed", ["en"], ["en", "de"]),
        ("thumbnail", "removed", "a.png", None),
        ("model-index[0].results[0].dataset.revision", "changed", "old", "new"),
        ("model-index[0].results[0].metrics[1].type", "removed", "bleu", None),
        ("pipeline_tag", "added", None, "text-generation"),
    ]


def test_results_stand_side_by_side() -> None:
    assert [(one.metric, one.dataset, one.before, one.after) for one in diff(BEFORE, AFTER).results] == [
        ("perplexity", "org/quotes", 27.4, 25.5),
        ("bleu", "org/quotes", 3, None),
    ]


def test_sections_are_compared_line_by_line() -> None:
    assert [(one.title, one.change) for one in diff(BEFORE, AFTER).sections] == [
        ("", "changed"),
        ("Use", "changed"),
        ("Gone", "removed"),
        ("Use > New", "added"),
    ]
    assert diff(BEFORE, AFTER).sections[1].diff == ["@@ -1,2 +1,2 @@", " One.", "-Two.", "+Three."]


def test_a_card_is_as_itself() -> None:
    same = diff(BEFORE, BEFORE)
    assert (same.metadata, same.sections) == ([], [])
    assert change_lines(same)[-1] == "The cards say the same."


def test_sections_of_one_title_are_kept_apart() -> None:
    before = "# A\n\n## B\n\none\n\n## B\n\ntwo\n\n## B\n\nthree\n"
    assert [one.title for one in diff(before, before.replace("three", "four")).sections] == ["B (3)"]


def test_a_person_sees_each_change() -> None:
    lines = change_lines(diff(BEFORE, AFTER))
    assert lines[:2] == ["A: a", "B: org/b@c"]
    for line in (
        "  ~ license: mit -> apache-2.0",
        "  - thumbnail: a.png",
        "  + pipeline_tag: text-generation",
        "  perplexity on org/quotes: 27.4 -> 25.5 (-1.9)",
        "  bleu on org/quotes: 3 -> none",
        "      -Two.",
    ):
        assert line in lines


def test_nothing_of_a_card_acts_upon_the_terminal() -> None:
    assert not any("\x1b" in line for line in change_lines(diff("# A\n", "# A\n\n\x1b[31mred\n")))


@pytest.mark.parametrize("card", ["---\na: [\n---\n", "a" * 1_000_001], ids=["not YAML", "too large"])
def test_a_card_that_cannot_be_read_is_told(card: str) -> None:
    with pytest.raises(CardError):
        diff(card, BEFORE)


def test_very_long_sections_are_not_compared_line_by_line() -> None:
    (change,) = diff("\n\n".join("ab" * 1_500), "\n\n".join("ba" * 1_500)).sections
    assert len(change.diff) == 1
