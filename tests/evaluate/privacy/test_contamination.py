"""Contamination is the share of held-out rows that the screening found among those to train on."""

from dataclasses import replace

import pytest

from hubtune.evaluate.privacy.exposure import Contamination
from hubtune.records.data import FindingRecord, ScreenRecord
from tests.sample_runs import sample_source


def measure(bench, held_out: int | None, policy: str = "drop", rows: int = 3, hits: int = 5, dropped: int = 5):
    finding = FindingRecord(
        kind="contamination", policy=policy, rows=rows, hits=hits, per_thousand=1.0, dropped=dropped
    )
    screen = ScreenRecord(rows=100, held_out=held_out, phone_regions=[], findings=[finding])
    (found,) = Contamination().measure(replace(bench, data=bench.data.model_copy(update={"screen": screen})))
    return found


def test_the_rate_is_of_all_held_out_rows_and_has_no_base(overfitted):
    found = measure(overfitted, 40)

    assert (found.name, found.group, found.split) == ("contamination", "privacy", "held-out")
    assert (found.n, found.base, found.tuned, found.status) == (40, None, pytest.approx(0.075), "measured")
    assert found.settings["train_rows_left_out"] == "5"
    assert "were dropped" in found.detail


def test_rows_that_were_kept_are_told(overfitted):
    found = measure(overfitted, 40, policy="report", dropped=0)

    assert "5 of these were kept" in found.detail


def test_none_is_a_rate_of_zero(overfitted):
    found = measure(overfitted, 40, rows=0, hits=0, dropped=0)

    assert (found.tuned, found.status, found.detail) == (0.0, "measured", None)


def test_copies_that_the_split_left_out_before_are_told_of(overfitted):
    source = sample_source(dropped={"the same text is held out": 4}, rows=44)
    bench = replace(overfitted, data=overfitted.data.model_copy(update={"sources": [source]}))

    found = measure(bench, 40, rows=0, hits=0, dropped=0)

    assert "4 training rows with the text of a held-out row had been dropped before" in found.detail


@pytest.mark.parametrize("held_out", [None, 0])
def test_what_was_not_compared_is_not_assessed(overfitted, held_out):
    assert measure(overfitted, held_out).status == "not assessed"


def test_rows_that_were_not_screened_are_not_assessed(overfitted):
    (found,) = Contamination().measure(overfitted)

    assert (found.status, found.n, found.tuned) == ("not assessed", 0, None)
