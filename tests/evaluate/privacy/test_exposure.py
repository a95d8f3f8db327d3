"""A canary that was never trained on gives 1.44 bits on average, and one that a model knows all that can be shown."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hubtune.data.canaries import draw_canaries
from hubtune.evaluate.privacy.exposure import CANDIDATES, CanaryExposure, canary_scores, chance, exposures


def planted(bench, **changes):
    """Returns the bench with another record of the planted canaries."""
    record = bench.data.canaries.model_copy(update=changes)
    return replace(bench, data=bench.data.model_copy(update={"canaries": record}))


def test_a_thousand_canaries_that_were_never_trained_on_give_what_chance_gives():
    scores = np.random.default_rng(11).normal(size=(1000, CANDIDATES))

    # Exposure is about exponential with a mean and a deviation of log2(e) bits.
    assert exposures(scores).mean() == pytest.approx(math.log2(math.e), abs=3 * 1.44 / math.sqrt(1000))


def test_chance_is_the_mean_over_all_ranks():
    for candidates in (2, 10, CANDIDATES):
        ranks = np.arange(1, candidates + 1)
        assert chance(candidates) == pytest.approx((math.log2(candidates) - np.log2(ranks)).mean())
    assert chance(10**7) == pytest.approx(math.log2(math.e), abs=1e-5)


@pytest.mark.parametrize(
    ("scores", "bits"),
    [([4, 1, 2, 3], 2.0), ([1, 2, 3, 4], 0.0), ([3, 4, 1, 2], 1.0), ([1, 1, 1, 1], math.log2(4 / 2.5))],
    ids=["first", "last", "second", "tied"],
)
def test_the_rank_among_the_candidates_decides(scores, bits: float):
    assert exposures([scores]).tolist() == pytest.approx([bits])


def test_a_score_that_is_no_number_gives_none():
    assert np.isnan(exposures([[1.0, np.nan, 0.0], [np.nan, 1.0, 0.0]])).all()


def test_the_canaries_that_a_model_was_overfitted_on_are_exposed_and_the_base_s_are_not(overfitted):
    (measure,) = CanaryExposure().measure(overfitted)

    assert (measure.name, measure.group, measure.n, measure.status) == ("canary_exposure", "privacy", 10, "measured")
    assert measure.tuned > 8
    assert measure.base < 4
    assert measure.interval[0] < measure.tuned - measure.base < measure.interval[1]
    assert measure.base_interval[0] < measure.base < measure.base_interval[1]
    assert (measure.settings["candidates"], measure.settings["chance_bits"]) == ("512", "1.43")


def test_canaries_that_the_model_was_not_trained_on_are_near_chance(overfitted):
    found = exposures(canary_scores(overfitted, "tuned", draw_canaries(8, 77), 77))

    assert found.mean() == pytest.approx(1.43, abs=3 * 1.44 / math.sqrt(8))


def test_fewer_than_ten_canaries_are_insufficient(overfitted):
    (measure,) = CanaryExposure().measure(planted(overfitted, rows=2))

    assert (measure.status, measure.n, measure.interval) == ("insufficient data", 2, None)
    assert measure.tuned is not None


def test_a_run_without_canaries_has_nothing_to_measure(overfitted):
    assert "evaluate.canaries" in CanaryExposure().unfit(replace(overfitted, data=None))
    assert CanaryExposure().unfit(overfitted) is None


def test_canaries_of_another_form_are_not_guessed(overfitted):
    (measure,) = CanaryExposure().measure(planted(overfitted, format="My {word}: {secret}"))

    assert (measure.status, measure.tuned) == ("not assessed", None)
