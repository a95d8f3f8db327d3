"""Intervals are paired and seeded, hold what they are of, and tests are the textbook's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hubtune.evaluate.intervals import holm, mcnemar, mean_of, measure_of, none_of, paired_bootstrap, rate_of, wilson


def _sides(change: float, rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    base = random.uniform(2, 5, rows)
    return base, base + change * random.uniform(0.5, 1.5, rows)


def _interval(base: np.ndarray, tuned: np.ndarray, seed: int = 42) -> tuple[float, float]:
    return paired_bootstrap(mean_of(base), mean_of(tuned), len(base), seed)


@pytest.mark.parametrize("change", [-0.5, -0.01, 0.2])
def test_the_interval_holds_the_difference(change: float):
    base, tuned = _sides(change)

    low, high = _interval(base, tuned)

    assert low < (tuned - base).mean() < high


@pytest.mark.parametrize(("change", "sign"), [(-0.05, -1), (0.05, 1)])
def test_a_change_that_every_row_shares_leaves_zero_outside(change: float, sign: int):
    """The rows differ by far more than the change, so this holds because they are paired."""
    low, high = _interval(*_sides(change))

    assert np.sign([low, high]).tolist() == [sign, sign]


def test_equal_models_differ_by_nothing():
    base, _ = _sides(0)

    assert _interval(base, base) == (0.0, 0.0)


def test_the_seed_decides_the_interval():
    sides = _sides(-0.2)

    assert _interval(*sides, 1) == _interval(*sides, 1)
    assert _interval(*sides, 1) != _interval(*sides, 2)


def test_swapping_the_sides_mirrors_the_interval():
    base, tuned = _sides(-0.2)
    low, high = _interval(base, tuned)

    assert _interval(tuned, base) == pytest.approx((-high, -low))


def test_many_items_are_drawn_in_parts():
    """All draws at once would be 2,000 numbers for each of 20,000 items."""
    largest = 0

    def value(draws: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, draws.size)
        return draws.mean(axis=1)

    low, high = paired_bootstrap(lambda draws: np.zeros(len(draws)), value, 20_000, 42)

    assert largest <= 4_000_000
    assert low < 10_000 < high


@given(st.integers(1, 2000).flatmap(lambda items: st.tuples(st.integers(0, items), st.just(items))))
def test_wilson_s_interval_is_scipy_s(counts: tuple[int, int]):
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")

    assert wilson(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= wilson(*counts)[0] <= counts[0] / counts[1] <= wilson(*counts)[1] <= 1


def test_385_items_give_five_points():
    low, high = wilson(193, 385)

    assert high - low == pytest.approx(0.1, abs=0.001)


def test_none_of_n_gives_about_three_in_n():
    assert none_of(300) == pytest.approx(stats.binomtest(0, 300).proportion_ci(0.9, method="exact").high)
    assert none_of(300) == pytest.approx(3 / 300, rel=0.01)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_s_test_is_the_exact_binomial_s(pairs: list[tuple[bool, bool]]):
    base, tuned = (np.array([pair[side] for pair in pairs], dtype=bool) for side in (0, 1))
    lost, won = int((base & ~tuned).sum()), int((~base & tuned).sum())

    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar(base, tuned) == pytest.approx(expected)


def test_mcnemar_s_test_stands_thousands_of_items():
    assert mcnemar([True] * 6000 + [False] * 6000, [False] * 6000 + [True] * 6000) == 1
    assert mcnemar([False] * 600, [True] * 600) < 1e-150


def test_holm_s_correction_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_rate_has_an_interval_of_each_side_and_a_p_value():
    base, tuned = np.arange(40) < 10, np.arange(40) < 20

    measure = rate_of("share", {"base": base, "tuned": tuned}, 42)

    assert (measure.base, measure.tuned, measure.difference, measure.n) == (0.25, 0.5, 0.25, 40)
    assert (measure.base_interval, measure.tuned_interval) == (wilson(10, 40), wilson(20, 40))
    assert measure.p_value == pytest.approx(2 / 2**10)
    assert measure.interval is not None
    assert measure.interval[0] < 0.25 < measure.interval[1]


def test_below_the_least_number_of_items_the_values_are_not_relied_on():
    measure = rate_of("share", {"base": np.ones(9, bool), "tuned": np.zeros(9, bool)}, 42)

    assert (measure.status, measure.base, measure.tuned, measure.interval) == ("insufficient data", 1, 0, None)
    assert "9 items" in str(measure.detail)
    assert measure_of("mean", {"tuned": mean_of([])}, 0, 42).status == "insufficient data"


def test_one_side_alone_is_measured_without_a_difference():
    measure = measure_of("mean", {"tuned": mean_of(np.arange(12))}, 12, 42)

    assert (measure.status, measure.base, measure.tuned, measure.difference, measure.interval) == (
        *("measured", None, 5.5, None, None),
    )
