"""Confidence intervals and tests: the paired bootstrap, Wilson's interval, McNemar's exact test, Holm's correction."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from hubtune.evaluate.bench import Side
from hubtune.records.results import Group, Measure

RESAMPLES = 2000
METHOD = f"paired bootstrap over rows, {RESAMPLES} resamples, 95% percentile interval of tuned - base"
WILSON = "Wilson"
LEAST_ROWS = 10
"""Below this many rows a percentile interval says little."""

Resampled = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]
"""A value of one side for each draw of items: item numbers of shape (draws, items) to values of shape (draws,)."""

# Of a normal distribution, 95% lies within this many standard deviations.
_Z = 1.959963984540054
# Item numbers that are drawn at once, so that memory does not grow with the number of items.
_AT_ONCE = 4_000_000


def paired_bootstrap(base: Resampled, tuned: Resampled, items: int, seed: int) -> tuple[float, float]:
    """Returns the 95% percentile interval of tuned - base, both on the same draws of items (Efron, 1979).

    Args:
        base: The value of the base model.
        tuned: That of the tuned model.
        items: How many there are to draw from: rows, or whatever varies as one, such as templates.
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    step = max(1, min(RESAMPLES, _AT_ONCE // items))
    differences = []
    for start in range(0, RESAMPLES, step):
        draws = random.integers(0, items, size=(min(step, RESAMPLES - start), items))
        differences.append(tuned(draws) - base(draws))
    low, high = np.percentile(np.concatenate(differences), [2.5, 97.5])
    return float(low), float(high)


def mean_of(values: npt.ArrayLike) -> Resampled:
    """Returns the mean of one value per item."""
    array = np.asarray(values, dtype=np.float64)
    return lambda draws: array[draws].mean(axis=1)


def ratio_of(
    above: npt.ArrayLike,
    below: npt.ArrayLike,
    then: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = np.asarray,
) -> Resampled:
    """Returns the sum of one value per item divided by the sum of another, such as a loss per token.

    Args:
        above: Shape (items,).
        below: Shape (items,).
        then: Makes the values of the ratios, both of shape (draws,).
    """
    over, under = np.asarray(above, dtype=np.float64), np.asarray(below)
    return lambda draws: then(over[draws].sum(axis=1) / under[draws].sum(axis=1))


def wilson(hits: int, items: int) -> tuple[float, float]:
    """Returns the 95% interval of a rate (Wilson, 1927); it never leaves 0 to 1.

    Raises:
        ValueError: There are no items.
    """
    if items < 1:
        raise ValueError("a rate of no items has no interval")
    rate, spread = hits / items, _Z**2 / items
    middle = (rate + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(rate * (1 - rate) / items + spread / (4 * items)) / (1 + spread)
    # At the ends the formula gives just 0 and 1, except for rounding.
    return (0.0 if hits == 0 else max(0.0, middle - half)), (1.0 if hits == items else min(1.0, middle + half))


def none_of(items: int) -> float:
    """Returns the exact one-sided 95% upper bound of a rate with no hit in `items` items: about 3 / items."""
    return float(1 - 0.05 ** (1 / items))


def mcnemar(base: npt.ArrayLike, tuned: npt.ArrayLike) -> float:
    """Returns the two-sided p-value that two rates on the same items are equal (McNemar, 1947), by the exact binomial.

    Args:
        base: Whether the base model hit each item.
        tuned: The same of the tuned model.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(base, dtype=bool), np.asarray(tuned, dtype=bool)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    return float(binomtest(lost, lost + won, 0.5).pvalue) if lost + won else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values of several tests, adjusted for their number (Holm, 1979)."""
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


class About(TypedDict, total=False):
    """The fields of a measure besides its values."""

    group: Group
    split: str
    tokens: int | None
    version: str
    settings: dict[str, str]
    detail: str | None


def measure_of(
    name: str,
    sides: Mapping[Side, Resampled],
    items: int,
    seed: int,
    *,
    least: int = LEAST_ROWS,
    **about: Unpack[About],
) -> Measure:
    """Returns a measure with the paired bootstrap's interval.

    Args:
        name: The measure's name.
        sides: Its value of each side; `base` is missing if there is none.
        items: How many were measured.
        seed: Of the resampling.
        least: With fewer items the values are given and not relied on.
        about: Further fields. The split is `held-out` unless it is given.
    """
    values = _values(sides, items)
    measure = Measure(
        name=name,
        n=items,
        base=None,
        tuned=None,
        interval=None,
        status="insufficient data",
        **{"split": "held-out", **about},
    )
    few = f"{items:,} items were measured; at least {least:,} are needed"
    if items == 0:
        return measure.model_copy(update={"detail": few})
    odd = [f"{value} for the {side} model" for side, value in values.items() if not math.isfinite(value)]
    if odd:
        return measure.model_copy(update={"status": "failed", "detail": f"the value came out as {' and '.join(odd)}"})
    found: dict[str, object] = {side: values.get(side) for side in ("base", "tuned")}
    if len(values) == 2:
        found["difference"] = values["tuned"] - values["base"]
    if items < least:
        return measure.model_copy(update={**found, "detail": few})
    if len(values) == 2:
        interval = paired_bootstrap(sides["base"], sides["tuned"], items, seed)
        found |= {"interval": interval, "interval_method": METHOD, "seed": seed}
    return measure.model_copy(update={**found, "status": "measured"})


def rate_of(
    name: str,
    hits: Mapping[Side, npt.NDArray[np.bool_]],
    seed: int,
    *,
    least: int = LEAST_ROWS,
    **about: Unpack[About],
) -> Measure:
    """Returns a rate as a measure, with the difference, the interval of each rate, and McNemar's p-value.

    Args:
        name: The measure's name.
        hits: Whether each item hit, for each side, on the same items.
        seed: Of the resampling.
        least: With fewer items the values are given and not relied on.
        about: Further fields. The split is `held-out` unless it is given.
    """
    items = len(next(iter(hits.values())))
    measure = measure_of(name, {side: mean_of(each) for side, each in hits.items()}, items, seed, least=least, **about)
    if measure.status != "measured":
        return measure
    own = {f"{side}_interval": wilson(int(each.sum()), items) for side, each in hits.items()}
    p_value = mcnemar(hits["base"], hits["tuned"]) if len(hits) == 2 else None
    return measure.model_copy(update={**own, "p_value": p_value})


def _values(sides: Mapping[Side, Resampled], items: int) -> dict[Side, float]:
    whole = np.arange(items, dtype=np.int64)[np.newaxis]
    return {side: float(value(whole)[0]) for side, value in sides.items()} if items else {}
