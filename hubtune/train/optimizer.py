"""The optimizer and how its learning rate goes."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Schedule = Literal["linear", "cosine", "constant"]

NAME = "adamw_torch_fused"
"""What the record calls the optimizer: torch's AdamW, its update in one pass over the weights."""


def adamw(weights: "Sequence[torch.nn.Parameter]", rate: float, decay: float) -> "torch.optim.AdamW":
    """Returns AdamW (Loshchilov and Hutter, 2019) over `weights`; vectors, such as biases and norms, do not decay."""
    import torch

    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=True)


def rate_factor(schedule: Schedule, steps: int, warmup: int) -> Callable[[int], float]:
    """Returns the share of the peak learning rate that each step has, counted from 0.

    The rate rises evenly over the warm-up, is at its peak in the step after it, and then falls, to be nothing after the
    last step, along a line or half a cosine; or it stays. No step has a rate of 0.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        left = (steps - step) / max(1, steps - warmup)
        if schedule == "linear":
            return left
        return 0.5 * (1 + math.cos(math.pi * (1 - left))) if schedule == "cosine" else 1.0

    return factor
