"""The interval of the difference is paired, seeded, and holds the difference itself."""

import numpy as np
import pytest

from hubtune.evaluate.bootstrap import perplexity_difference
from hubtune.evaluate.perplexity import Likelihoods


def _sides(change: float, rows: int = 40) -> tuple[Likelihoods, Likelihoods]:
    random = np.random.default_rng(5)
    tokens = random.integers(1, 30, rows)
    nll = tokens * random.uniform(2, 5, rows)
    return Likelihoods(nll, tokens), Likelihoods(nll + change * tokens * random.uniform(0.5, 1.5, rows), tokens)


@pytest.mark.parametrize("change", [-0.5, -0.01, 0.2])
def test_the_interval_holds_the_difference(change: float):
    base, tuned = _sides(change)

    low, high = perplexity_difference(base, tuned, 42)

    assert low < tuned.perplexity - base.perplexity < high


@pytest.mark.parametrize(("change", "sign"), [(-0.5, -1), (0.5, 1)])
def test_a_change_that_every_row_shares_leaves_zero_outside(change: float, sign: int):
    low, high = perplexity_difference(*_sides(change), 42)

    assert np.sign([low, high]).tolist() == [sign, sign]


def test_equal_models_differ_by_nothing():
    base, _ = _sides(0)

    assert perplexity_difference(base, base, 42) == (0.0, 0.0)


def test_the_seed_decides_the_interval():
    sides = _sides(-0.2)

    assert perplexity_difference(*sides, 1) == perplexity_difference(*sides, 1)
    assert perplexity_difference(*sides, 1) != perplexity_difference(*sides, 2)


def test_swapping_the_sides_mirrors_the_interval():
    base, tuned = _sides(-0.2)
    low, high = perplexity_difference(base, tuned, 42)

    assert perplexity_difference(tuned, base, 42) == pytest.approx((-high, -low))
