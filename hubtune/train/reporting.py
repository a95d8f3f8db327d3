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
    """Writes the loss curve to events.jsonl, moves the progress bar, and stops a run that has diverged."""

    def __init__(self, run: RunDirectory, task: Task) -> None:
        self._run = run
        self._task = task
        self._loss = ""
        self.losses: list[LossPoint] = []

    def on_step_end(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",  # noqa: ARG002
        control: "TrainerControl",  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._task.advance(note=self._loss)

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
        if not math.isfinite(loss):
            raise TrainingError(
                f"The training loss became {loss} at step {state.global_step}: the run has diverged.",
                hint="Lower `train.learning_rate` (a tenth is a good next try), or set `train.precision: fp32`.",
            )
        self.losses.append(LossPoint(step=state.global_step, loss=loss))
        self._loss = f"loss {loss:.3f}"
        self._run.event(
            "train",
            event="loss",
            step=state.global_step,
            epoch=round(float(state.epoch or 0), 4),
            loss=loss,
            learning_rate=float(logs.get("learning_rate", 0.0)),
        )
