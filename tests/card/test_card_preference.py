"""What people preferred stands on the card with its interval, its ties, and how sure it is."""

from dataclasses import replace

import pytest

from hubtune.card.inputs import CardInputs
from hubtune.card.lint.run import lint_text
from hubtune.card.render import render_card
from hubtune.evaluate.human_preference import win_rate
from hubtune.records.ratings import Counts, RatingsRecord
from tests.sample_cards import make_inputs


def rated(tuned: int, base: int, ties: int, *, raters: int = 1, compared: int = 0, agreed: int = 0) -> CardInputs:
    answers = tuned + base + ties + compared
    counts = Counts(raters=raters, answers=answers, tuned=tuned, base=base, ties=ties, compared=compared, agreed=agreed)
    record = RatingsRecord(
        upstream={},
        pairs="0" * 64,
        offered=50,
        identical=3,
        max_new_tokens=256,
        precision="bf16",
        counts=counts,
        measure=win_rate(counts, 42),
    )
    return replace(make_inputs(), ratings=record)


def paragraph(inputs: CardInputs) -> str:
    (found,) = (line for line in render_card(inputs).split("\n\n") if line.startswith("**Human preference.**"))
    return " ".join(found.split())


def test_the_rate_stands_with_its_interval_and_what_it_is_of():
    assert paragraph(rated(32, 8, 10)) == (
        "**Human preference.** 1 person compared texts that the base model and the tuned model generated for the same "
        "held-out prompts (greedy decoding, at most 256 tokens). The texts were shown in random order, without the "
        "model's name. In 80.0% of 40 decided pairs, the tuned model's text was preferred (95% Wilson score interval: "
        "65.2% to 89.5%). 10 pairs ended in a tie. For 3 prompts, both models generated the same text, so nobody "
        "rated them."
    )


def test_several_raters_are_told_with_how_often_they_agreed():
    text = paragraph(rated(32, 8, 10, raters=2, compared=40, agreed=30))

    assert "2 people compared" in text
    assert "they agreed in 75.0% of 40 comparisons" in text


@pytest.mark.parametrize(
    ("tuned", "base", "words"),
    [
        (21, 19, "The interval includes 50%, so these ratings do not show that people prefer either model."),
        (9, 0, "There are too few decided pairs to tell which model people prefer."),
    ],
)
def test_what_the_answers_do_not_show_is_said(tuned: int, base: int, words: str):
    assert paragraph(rated(tuned, base, 1)).endswith(words)


def test_ties_alone_give_no_rate():
    text = paragraph(rated(0, 0, 5))

    assert "preferred in" not in text
    assert "5 pairs ended in a tie" in text


def test_such_a_card_passes_our_own_lint():
    report = lint_text(render_card(rated(32, 8, 10, raters=2, compared=40, agreed=30)), "model")

    assert report.findings == lint_text(render_card(make_inputs()), "model").findings


def test_without_ratings_the_card_says_nothing_of_people():
    assert "Human preference" not in render_card(make_inputs())
