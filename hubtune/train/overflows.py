"""Steps that fp16 left out: their gradients, scaled up so that small ones are not lost, were too large for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hubtune.records.training import Finding

if TYPE_CHECKING:
    import torch
    from transformers import TrainerControl, TrainerState, TrainingArguments

_KEY = "left_out"


class Overflows(TrainerCallback):  # type: ignore[misc]
    """Notes in the Trainer's log each step that was left out.

    Args:
        scaler: What scales the gradients; after a step that it left out, its scale is lower.
    """

    def __init__(self, scaler: "torch.amp.GradScaler") -> None:
        self._scaler, self._scale = scaler, 0.0

    def on_train_begin(self, *_: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Notes the scale that a training begins, or goes on, with."""
        self._scale = self._scaler.get_scale()

    def on_step_end(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        before, self._scale = self._scale, self._scaler.get_scale()
        if self._scale < before:
            state.log_history.append({"step": state.global_step, _KEY: 1.0})


def overflow_findings(history: Sequence[dict[str, float]], steps: int) -> list[Finding]:
    """Returns what a training's log tells of steps that were left out.

    Args:
        history: The Trainer's log.
        steps: Optimizer steps of the run.
    """
    count = sum(_KEY in entry for entry in history)
    if not count:
        return []
    return [
        Finding(
            name="gradients overflowed",
            evidence=f"{count} of {steps} steps changed no weight, since their gradients were too large for fp16",
            advice="Set train.precision to auto or fp32; a few such steps at the start do no harm.",
        )
    ]
