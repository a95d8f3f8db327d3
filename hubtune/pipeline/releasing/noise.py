"""Whether two releases' values of a measure differ by more than noise."""

import math
from dataclasses import dataclass
from typing import Literal

from hubtune.records.evaluation import Measure

Verdict = Literal["beyond the noise", "inside the noise", "equal", "not comparable", "unknown"]


@dataclass(frozen=True)
class Difference:
    """What can be said of `after - before`.

    Attributes:
        value: The difference, None where it would mean nothing.
        interval: Its 95 % interval, None where it cannot be worked out.
    """

    value: float | None
    interval: tuple[float, float] | None
    verdict: Verdict
    reason: str


def difference(before: Measure | None, after: Measure | None, *, same_rows: bool) -> Difference:
    """Compares the tuned models' values of one measure.

    The records have the interval of each model's distance from its base model. Where the base model's value is the
    same, the difference of the distances is that of the values, and its interval follows from the two intervals by the
    method of variance estimates recovery (Zou and Donner, "Construction of confidence intervals about effect
    measures", Statistics in Medicine 27, 2008). That method takes the two as independent. Two models that were
    measured on the same rows vary together as a rule, so that the interval is too wide rather than too narrow.

    Args:
        before: The measure of the first release; None where it has none of that name on that split.
        after: That of the second.
        same_rows: Whether both were measured on the same rows in the same way.
    """
    if before is None or after is None or before.tuned is None or after.tuned is None:
        return Difference(None, None, "not comparable", "only one of the releases has a value")
    if not same_rows:
        return Difference(None, None, "not comparable", "the releases were not measured on the same rows")
    value = after.tuned - before.tuned
    if before.status != "measured" or after.status != "measured":
        return Difference(value, None, "unknown", f"the values are {before.status} and {after.status}")
    if value == 0:
        return Difference(value, None, "equal", "the values are the same")
    if before.interval is None or after.interval is None or before.base is None or after.base is None:
        return Difference(value, None, "unknown", "one of the values has no interval")
    if not math.isclose(before.base, after.base, rel_tol=1e-3):
        return Difference(value, None, "unknown", "the intervals are against base models with other values")
    low, high = _recovered(before.tuned - before.base, before.interval, after.tuned - after.base, after.interval)
    inside = low <= 0 <= high
    words = "holds" if inside else "leaves out"
    return Difference(
        value,
        (low, high),
        "inside the noise" if inside else "beyond the noise",
        f"the 95 % interval of the difference {words} zero",
    )


def _recovered(
    first: float, first_interval: tuple[float, float], second: float, second_interval: tuple[float, float]
) -> tuple[float, float]:
    """Returns the interval of `second - first`, from an interval of each."""
    low = second - first - math.hypot(second - second_interval[0], first_interval[1] - first)
    high = second - first + math.hypot(second_interval[1] - second, first - first_interval[0])
    return low, high
