"""Carries the training loop's news to the user and to events.jsonl."""

import math

from hubtune.errors import TrainingError
from hubtune.records.progress import Task
from hubtune.records.rundir import RunDirectory
from hubtune.train.loop import LoopState


class Reporter:
    """Writes the loss curve to events.jsonl, moves the progress bar, and stops a run that has diverged.

    Args:
        run: The run directory.
        task: The progress of the steps.
        per_epoch: Steps of an epoch.
    """

    def __init__(self, run: RunDirectory, task: Task, per_epoch: int) -> None:
        self._run = run
        self._task = task
        self._per_epoch = per_epoch
        self._note = ""

    def before_batch(self, state: LoopState) -> None:
        """Does nothing."""

    def logged(self, state: LoopState) -> None:
        """Writes the newest point of the loss curve.

        Raises:
            TrainingError: It is not a number.
        """
        point = state.losses[-1]
        if not math.isfinite(point.loss):
            raise TrainingError(
                f"The training loss became {point.loss} at step {point.step}: the run has diverged.",
                hint="Lower `train.learning_rate` (a tenth is a good next try), or set `train.precision: fp32`.",
            )
        self._note = f"loss {point.loss:.3f}"
        self._run.event(
            "train",
            event="loss",
            epoch=round(point.step / self._per_epoch, 4),
            **point.model_dump(),
        )

    def after_step(self, state: LoopState) -> bool:  # noqa: ARG002
        """Moves the bar; the loop goes on."""
        self._task.advance(note=self._note)
        return True
