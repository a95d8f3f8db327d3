"""The card says what the measures of bias mean, with what they were taken, and that a small value proves nothing."""

from dataclasses import replace

import pytest

from hubtune.card.render import render_card
from hubtune.records.results import Measure
from tests.sample_cards import make_inputs

_OWN = {"material": "hubtune-bias-en 1", "sha256": "ab" * 32, "origin": "hubtune"}
_WORDS = {
    "word_list": "hubtune-bias-en 1",
    "word_list_sha256": "cd" * 32,
    "word_list_origin": "hubtune",
    "words": "141",
    "prompts": "hubtune-bias-en 1",
    "prompts_sha256": "ef" * 32,
    "origin": "hubtune",
}


def gap(**changes: object) -> Measure:
    values = {
        "name": "counterfactual_gap_gender",
        "group": "bias",
        "split": "templates",
        "n": 300,
        "base": 0.08,
        "tuned": 0.1823,
        "difference": 0.1023,
        "interval": (0.02, 0.19),
        "base_interval": (0.01, 0.15),
        "tuned_interval": (0.101, 0.264),
        "p_value": 0.012,
        "settings": {**_OWN, "templates": "30", "terms": "10"},
        "status": "measured",
    }
    return Measure.model_validate(values | changes)


def rate(name: str, **changes: object) -> Measure:
    values = {
        "name": name,
        "group": "bias",
        "split": "items",
        "n": 300,
        "base": 0.55,
        "tuned": 0.6,
        "interval": (-0.01, 0.11),
        "tuned_interval": (0.544, 0.654),
        "p_value": 0.1,
        "settings": _WORDS if name == "word_list_hits" else _OWN,
        "status": "measured",
    }
    return Measure.model_validate(values | changes)


def section(*measures: Measure) -> str:
    inputs = make_inputs()
    evaluation = inputs.evaluation.model_copy(update={"measures": [*inputs.evaluation.measures, *measures]})
    card = render_card(replace(inputs, evaluation=evaluation))
    return card.partition("## Bias\n")[2].partition("\n## ")[0]


def test_the_gap_is_told_in_words_with_its_interval():
    text = section(gap(), gap(name="counterfactual_gap_abs_gender", tuned=0.4))

    assert "300 sentences (30 templates, 10 pairs of terms)" in text
    assert "with a term for women and with a term for men in the same place" in text
    assert "1.200 times as likely" in text
    assert "a gap of 0.182 nats (95% CI 0.101 to 0.264); the gap of the base model is 0.080" in text
    assert "the mean absolute gap is 0.400 nats" in text
    assert "The test shows that training changed the gap (p = 0.012, adjusted for the number of axes)" in text


@pytest.mark.parametrize(
    "measure", [gap(tuned=0.0), rate("pair_preference", tuned=0.5), rate("word_list_hits", tuned=0)]
)
def test_a_small_value_is_no_proof_of_absence(measure: Measure):
    assert "A small gap, or a rate near 50%, does not prove that the model is free of bias." in section(measure)


@pytest.mark.parametrize("measure", [gap(), rate("pair_preference"), rate("word_list_hits")])
def test_hubtune_s_own_material_is_named_with_its_version_and_its_limits(measure: Measure):
    text = section(measure)

    assert "hubtune's own (`hubtune-bias-en 1`). They are in English" in text
    assert "the United States" in text


def test_a_file_of_the_author_s_is_named_with_its_digest():
    text = section(gap(settings={"material": "mine.csv", "sha256": "12" * 32, "origin": "user"}))

    assert f"The author's file `mine.csv` (SHA-256 `{'12' * 32}`) was used." in text
    assert "United States" not in text
    assert "with the first term of a pair and with the second term" in text


def test_the_word_list_is_told_by_its_digest_and_compared_with_no_classifier():
    text = section(rate("word_list_hits", tuned=0.02, tuned_interval=(0.009, 0.043)))

    assert "2.0% of 300 short texts" in text
    assert f"141 insults and other offensive words or phrases (SHA-256 `{'cd' * 32}`)" in text
    assert "RealToxicityPrompts" not in text
    assert "no classifier judged the texts" in text


def test_pair_preference_says_what_even_is():
    text = section(rate("pair_preference"))

    assert "In 60.0% of 300 pairs of sentences about different groups (95% CI 54.4% to 65.4%)" in text
    assert "for a model without a preference, this would be 50%" in text


@pytest.mark.parametrize(
    "make", [gap, lambda **few: rate("pair_preference", **few), lambda **few: rate("word_list_hits", **few)]
)
def test_too_few_items_are_insufficient_data(make):
    text = section(
        make(status="insufficient data", interval=None, tuned_interval=None, p_value=None, n=20, detail="20 are few")
    )

    assert "Insufficient data, do not rely on this" in text
    assert "no bias" not in text.lower()
    assert "95% CI" not in text.replace("Difference (95% CI)", "")


def test_a_measure_that_failed_has_no_words():
    text = section(gap(status="failed", base=None, tuned=None, interval=None, detail="the file is gone"))

    assert "failed (the file is gone)" in text
    assert "**Gender.**" not in text
