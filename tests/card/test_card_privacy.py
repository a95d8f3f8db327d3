"""The card tells in words and numbers what was measured of privacy, and what was not."""

from dataclasses import replace

import pytest

from hubtune.card.render import render_card
from hubtune.records.data import CanaryRecord
from hubtune.records.results import Measure
from tests.sample_cards import make_inputs, screened

RATE = {"group": "privacy", "n": 300, "interval": None, "status": "measured"}
SUFFIX = {"suffix": "the last tokens of a row", "suffix_tokens": "10 to 50", "rows_with_50": "120", "too_short": "7"}
MEMORISED = (
    Measure(
        **RATE,
        name="memorisation",
        split="train",
        base=0.0,
        tuned=0.04,
        base_interval=(0.0, 0.0126),
        tuned_interval=(0.0231, 0.0686),
        settings=SUFFIX,
    ),
    Measure(
        **RATE,
        name="memorisation_held_out",
        split="held-out",
        base=0.0,
        tuned=1 / 300,
        base_interval=(0.0, 0.0126),
        tuned_interval=(0.0006, 0.0186),
        settings=SUFFIX,
    ),
    Measure(
        **{**RATE, "n": 600},
        name="memorisation_excess",
        split="train against held-out",
        base=0.0,
        tuned=11 / 300,
        tuned_interval=(0.011, 0.065),
    ),
)
CANARIES = CanaryRecord(rows=10, tokens=200, format="The access code of {word} is {secret}", digits=9, seed=42)


def written(tuned: float, interval: tuple[float, float], **changes: object) -> list[Measure]:
    """Returns the measures of personal data: e-mail addresses alone, or none at all."""
    settings = {"prompts": "the first half of 150 training rows and of 150 held-out rows"}
    same = {**RATE, "split": "generations", "base": 0.0, "base_interval": (0.0, 9.936), **changes}
    values = {"tuned": tuned, "tuned_interval": interval}
    known = {"tuned": tuned / 2, "settings": {"email": "1 of 2"} if tuned else {}}
    return [
        Measure(**same, **values, name="personal_data", settings={**settings, "max_new_tokens": "48"}),
        Measure(**same, **values, name="personal_data_email"),
        Measure(**same, tuned=0.0, tuned_interval=(0.0, 9.936), name="personal_data_iban"),
        Measure(**same, **known, name="personal_data_in_training"),
    ]


def section(*measures: Measure, canaries: CanaryRecord | None = None) -> str:
    inputs = make_inputs()
    data = inputs.data.model_copy(update={"screen": screened(), "canaries": canaries})
    evaluation = inputs.evaluation.model_copy(update={"measures": [*inputs.evaluation.measures, *measures]})
    card = render_card(replace(inputs, data=data, evaluation=evaluation))
    return card.partition("## Privacy")[2].partition("\n## ")[0]


def test_memorisation_is_told_by_how_many_of_how_many():
    text = section(*MEMORISED)

    assert "for 12 of 300 (4.0%; 95% CI 2.3% to 6.9%) training rows" in text
    assert "and 1 of 300 (0.33%; 95% CI 0.060% to 1.9%) held-out rows, which it was not trained on" in text
    assert "base model does so for 0 of 300 (0.0%; 95% CI 0.0% to 1.3%) training rows" in text
    assert "+3.7 percentage points (95% CI +1.1 to +6.5)" in text
    assert "It has 10 to 50 tokens" in text
    assert (
        "In 120 of the 300 training rows, the rest has 50 tokens; only these rows are comparable with published figures"
        in text
    )
    assert "7 further rows were too short to measure" in text


def test_too_few_rows_are_said_to_be_too_few():
    few = [
        each.model_copy(
            update={"status": "insufficient data", "detail": "40 rows were measured; at least 300 are needed", "n": 40}
        )
        for each in MEMORISED
    ]

    assert (
        "There are too few rows to rely on these values (40 rows were measured; at least 300 are needed)."
        in section(*few)
    )


def test_none_found_in_generations_is_a_bound_and_not_a_denial():
    text = section(*written(0.0, (0.0, 9.936)))

    assert (
        "No hit was found in 300 texts of the tuned model. With 95% confidence, at most 0.99% of such texts contain one"
        in text
    )
    assert "the first half of 150 training rows and of 150 held-out rows, for at most 48 tokens" in text
    assert "no personal data" not in text.lower()
    assert "also in the training set" not in text


def test_hits_stand_beside_those_of_the_rows_and_are_told_apart_by_training():
    text = section(*written(6.667, (0.0, 16.67)))

    assert "| E-mail addresses | 5.986 | 0.000 (0.000 to 9.936) | 6.667 (0.000 to 16.67) |" in text
    assert "3.333 per 1,000 texts are also in the training set (E-mail addresses: 1 of 2)" in text
    assert "of such texts contain one" not in text


def test_planted_secrets_are_told_with_what_chance_gives():
    exposure = Measure(
        **{**RATE, "n": 10},
        name="canary_exposure",
        split="canaries",
        base=1.5,
        tuned=8.9,
        base_interval=(0.7, 2.4),
        tuned_interval=(8.6, 9.0),
        settings={"candidates": "512", "chance_bits": "1.43", "most_bits": "9.00"},
    )

    text = section(exposure, canaries=CANARIES)

    assert "10 extra rows with a random secret each" in text
    assert "Do not publish a model" in text
    assert "8.900 (8.600 to 9.000) bits for the tuned model and 1.500 (0.700 to 2.400) bits for the base model" in text
    assert "Chance is 1.43 bits, and the maximum is 9.00 bits" in text
    assert "Do not publish a model" in section(canaries=CANARIES)
    assert "Canaries" not in section()


def test_contamination_has_the_tuned_side_alone():
    measure = Measure(
        **{**RATE, "n": 251, "detail": "5 training rows repeat them"},
        name="contamination",
        split="held-out",
        base=None,
        tuned=3 / 251,
    )

    assert "training rows repeated 3 of 251 (1.2%) held-out rows: 5 training rows" in (section(measure))


@pytest.mark.parametrize("status", ["failed", "not assessed"])
def test_a_metric_without_a_value_is_told_once_with_its_reason(status: str):
    without = [
        each.model_copy(
            update={"status": status, "base": None, "tuned": None, "detail": "a classifier generates no text"}
        )
        for each in MEMORISED
    ]

    text = section(*without)

    assert text.count(f"Memorization: {status} (a classifier generates no text)") == 1
    assert "excess" not in text
    assert "was not measured" not in text


def test_what_nobody_asked_for_is_not_assessed():
    text = section()

    assert "whether the model repeats training rows, or personal data from them, was not measured" in text


def test_measures_of_privacy_stand_in_their_section_alone():
    inputs = make_inputs()
    measures = [*inputs.evaluation.measures, *MEMORISED, *written(0.0, (0.0, 9.936))]
    evaluation = inputs.evaluation.model_copy(update={"measures": measures})

    card = render_card(replace(inputs, evaluation=evaluation))

    assert "emorization" not in card.partition("## Evaluation")[2].partition("\n## ")[0]
    assert "memorization and personal data" not in card.partition("\n## ")[0]


def test_contamination_alone_leaves_the_model_unassessed_in_the_summary():
    measure = Measure(**RATE, name="contamination", split="held-out", base=None, tuned=0.0)
    inputs = make_inputs()

    card = render_card(replace(inputs, evaluation=inputs.evaluation.model_copy(update={"measures": [measure]})))

    assert "memorization and personal data" in card.partition("\n## ")[0]
