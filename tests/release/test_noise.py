"""A difference is significant only if the intervals of both releases show it."""

import pytest

from hubtune.records.results import Measure
from hubtune.release.diff_record import difference

MEASURE = Measure(
    name="perplexity", split="held-out", n=8, base=30.0, tuned=20.0, interval=(-14.0, -7.0), status="measured"
)


def _of(**changes: object) -> Measure:
    return MEASURE.model_copy(update=changes)


@pytest.mark.parametrize(
    ("after", "interval", "verdict"),
    [
        # From the values the intervals reach 4 down and 3 up, and 4 down and 4 up.
        (_of(tuned=16.0, interval=(-18.0, -10.0)), (-4 - 5.0, -4 + 32**0.5), "not significant"),
        (_of(tuned=14.0, interval=(-20.0, -12.0)), (-6 - 5.0, -6 + 32**0.5), "significant"),
        (_of(tuned=25.0, interval=(-9.0, 7.0)), (5 - 5.0, 5 + 160**0.5), "not significant"),
        (MEASURE, None, "equal"),
    ],
)
def test_the_interval_of_the_difference_is_recovered_from_both(after: Measure, interval, verdict: str):
    found = difference(MEASURE, after, same_rows=True)

    assert found.verdict == verdict
    assert found.interval == (pytest.approx(interval) if interval else None)
    assert found.value == after.tuned - 20.0


@pytest.mark.parametrize(
    ("before", "after", "same_rows", "verdict", "words"),
    [
        (MEASURE, _of(tuned=10.0), False, "not comparable", "same rows"),
        (None, MEASURE, True, "not comparable", "only one"),
        (MEASURE, _of(tuned=None, status="failed"), True, "not comparable", "only one"),
        (MEASURE, _of(tuned=10.0, status="insufficient data"), True, "unknown", "insufficient data"),
        (MEASURE, _of(tuned=10.0, interval=None), True, "unknown", "no interval"),
        (MEASURE, _of(tuned=10.0, base=40.0), True, "unknown", "base models"),
    ],
)
def test_what_cannot_be_told_is_said_with_the_reason(before, after, same_rows: bool, verdict: str, words: str):
    found = difference(before, after, same_rows=same_rows)

    assert (found.verdict, found.interval) == (verdict, None)
    assert words in found.reason
