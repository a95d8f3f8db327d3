"""Makes measures of values on both sides: the difference, its interval, and whether there were items enough."""

import math
from collections.abc import Mapping
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from hubtune.evaluate.bench import Side
from hubtune.evaluate.intervals import LEAST_ROWS, METHOD, Resampled, mcnemar, mean_of, paired_bootstrap, wilson
from hubtune.records.evaluation import Group, Measure


class About(TypedDict, total=False):
    """Fields of a measure that it has besides its values."""

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
        sides: Its value of each side; `base` is missing where there is none.
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
    few = f"{items:,} items were measured; {least:,} are the least to rely on"
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
    """Returns a measure of how many items hit: besides the difference, each rate's interval and McNemar's p-value.

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
