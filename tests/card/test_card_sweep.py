"""The card of a swept config says how its settings were chosen, and by which rows."""

from dataclasses import replace

import pytest

from hubtune.card.render import render_card
from hubtune.config.schema import TuneConfig
from hubtune.records.data import SplitRecord

ORIGIN = {
    "study": "ab" * 32,
    "sampler": "grid",
    "seed": 42,
    "trials": 27,
    "metric": "held_out_loss",
    "direction": "minimize",
    "rows": "held-out",
    "rank": 1,
    "value": 2.5,
    "fields": [
        {"field": "train.lora.r", "tried": "4, 8", "chosen": "8"},
        {"field": "train.lora.target_modules", "tried": '"a|b", "all-linear"', "chosen": '"all-linear"'},
    ],
}


@pytest.fixture
def card(inputs):
    """Renders the card with the given changes of the sweep; with validation rows if the sweep used them."""

    def card(**changes):
        origin = {**ORIGIN, **changes}
        values = inputs.config.model_dump(mode="json")
        values["sweep"] = origin
        validation = None
        if origin["rows"] == "validation":
            values["evaluate"]["validation"] = 0.2
            validation = SplitRecord(rows=501, tokens=20_123, truncated=2)
        config = TuneConfig.model_validate(values)
        return render_card(
            replace(inputs, config=config, data=inputs.data.model_copy(update={"validation": validation}))
        )

    return card


def test_the_card_says_how_many_trials_over_what_and_the_winner_s_rank(card):
    text = card(failed=1, pruned=2)
    assert "A sweep of 27 completed trials chose some of these settings, by a grid of values; " in text
    assert "; 1 other trial failed; 2 other trials were stopped early. This configuration has rank 1 of 27" in text
    assert "rank 1 of 27 by held-out loss (lower is better), with 2.500" in text
    assert "| `train.lora.r` | `4, 8` | `8` |" in text
    assert "study SHA-256 `abababababab…`" in text


def test_a_pipe_in_a_value_stays_within_its_cell(card):
    (row,) = [line for line in card().splitlines() if line.startswith("| `train.lora.target_modules")]
    assert row.replace("\\|", "").count("|") == 4


def test_results_on_rows_that_chose_are_called_optimistic(card):
    text = card()
    assert (
        "Because these rows chose the settings, results on them are better than results on other rows would be." in text
    )
    assert (
        "These results are optimistic: a sweep compared 27 trials on the held-out rows to choose the settings." in text
    )


def test_results_on_rows_that_a_sweep_did_not_see_are_not(card):
    text = card(rows="validation")
    assert "optimistic" not in text
    assert "rank 1 of 27 by validation loss" in text
    assert "The metric was measured on the validation rows, which are not part of the evaluation." in text
    assert "| Validation set | 501 | 20,123 | 2 |" in text
    assert "A further 20% of the rows are validation rows" in text
    assert "not trained on held-out rows or validation rows" in text


def test_a_card_without_a_sweep_speaks_of_none(inputs):
    text = render_card(inputs)
    assert "sweep" not in text
    assert "alidation" not in text
