"""How the learning rate goes."""

import math
from collections.abc import Callable
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]


def rate_factor(schedule: Schedule, steps: int, warmup: int) -> Callable[[int], float]:
    """Returns the share of the peak learning rate that each step has, counted from 0.

    The rate rises evenly over the warm-up, is at its peak in the step after it, and then falls, to be nothing after the
    last step, along a line or half a cosine; or it stays. No step has a rate of 0; in transformers' own schedules the
    first step has, and so learns nothing.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        left = (steps - step) / max(1, steps - warmup)
        if schedule == "linear":
            return left
        return 0.5 * (1 + math.cos(math.pi * (1 - left))) if schedule == "cosine" else 1.0

    return factor
