"""Carries the training loop's news to the user and to events.jsonl."""

import math
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hubtune.errors import TrainingError
from hubtune.records.progress import Task
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import LossPoint

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Writes the loss curve to events.jsonl, moves the progress bar, and stops a run that has diverged.

    Args:
        run: The run directory.
        task: The progress bar.
        base: The base model's repository, for messages.
    """

    def __init__(self, run: RunDirectory, task: Task, base: str) -> None:
        self._base = base
        self._run = run
        self._task = task
        self._loss = ""

    def on_train_begin(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        if state.global_step:
            self._task.advance(state.global_step)

    def on_step_end(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._task.advance(note=self._loss)
        if state.global_step >= state.max_steps:
            # The Trainer logs every so many steps alone; a run that diverges in the last ones must not pass.
            control.should_log = True

    def on_log(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss) and state.global_step <= 1:
            # It was computed before any weight was changed.
            raise TrainingError(
                f"The training loss is {loss} at the first step, before anything was learnt: {self._base} gives NaN or "
                "infinite numbers for the rows.",
                hint="Set `train.precision: fp32`; if that changes nothing, choose another base model or revision.",
            )
        if not math.isfinite(loss):
            raise TrainingError(
                f"The training loss became {loss} at step {state.global_step}: the training diverged.",
                hint="Lower `train.learning_rate` (a tenth is a good next try), or set `train.precision: fp32`.",
            )
        point = loss_points([{"step": state.global_step, **logs}])[0]
        self._loss = f"loss {loss:.3f}"
        self._run.event("train", event="loss", epoch=round(float(state.epoch or 0), 4), **point.model_dump())


def _finite(value: float | None) -> float | None:
    # In fp16 a step is left out where it is not.
    return float(value) if value is not None and math.isfinite(value) else None


def loss_points(history: list[dict[str, float]]) -> list[LossPoint]:
    """Returns the loss curve that the Trainer's log holds, which goes on where a checkpoint's ended."""
    return [
        LossPoint(
            step=int(entry["step"]),
            loss=float(entry["loss"]),
            learning_rate=float(entry["learning_rate"]),
            gradient_norm=_finite(entry.get("grad_norm")),
        )
        for entry in history
        if "loss" in entry
    ]
