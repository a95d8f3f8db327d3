"""What happens at each training step: losses to events.jsonl and the progress bar, the held-out loss, early stopping.

It also converts the Trainer's log, which a checkpoint contains, to the points of the record.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import TrainerCallback

from hubtune.data.tokenization import Example
from hubtune.errors import TrainingError
from hubtune.records.base import ProgressTask
from hubtune.records.results import HeldOutPoint, LossPoint, TrainingFinding
from hubtune.records.rundir import RunDirectory
from hubtune.train.batching import Batcher, Course
from hubtune.train.loss import ClassBatcher, ClassLoss, SummedLoss, class_scores
from hubtune.train.processes import Processes

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments


class Reporter(TrainerCallback):
    """Writes the loss curve to events.jsonl, moves the progress bar, and stops a run that has diverged.

    Args:
        run: The run directory.
        task: The progress bar.
        base: The base model's repository, for messages.
    """

    def __init__(self, run: RunDirectory, task: ProgressTask, base: str) -> None:
        self._base = base
        self._run = run
        self._task = task
        self._loss = ""

    def on_train_begin(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        _control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        if state.global_step:
            self._task.advance(state.global_step)

    def on_step_end(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        self._task.advance(note=self._loss)
        if state.global_step >= state.max_steps:
            # The Trainer logs every so many steps alone; a run that diverges in the last ones must not pass.
            control.should_log = True

    def on_log(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        _control: "TrainerControl",
        logs: dict[str, float] | None = None,
        **_kwargs: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss) and state.global_step <= 1:
            # It was computed before any weight was changed.
            raise TrainingError(
                f"The training loss is {loss} at the first step, before the first update: {self._base} gives NaN or "
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
        if state.is_world_process_zero:
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


_KEY = "left_out"


class Overflows(TrainerCallback):
    """Notes in the Trainer's log each step that was left out.

    Args:
        scaler: What scales the gradients; after a step that it left out, its scale is lower.
    """

    def __init__(self, scaler: "torch.amp.GradScaler") -> None:
        self._scaler, self._scale = scaler, 0.0

    def on_train_begin(self, *_: Any, **_kwargs: Any) -> None:
        """Notes the scale that a training begins, or goes on, with."""
        self._scale = self._scaler.get_scale()

    def on_step_end(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        _control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        before, self._scale = self._scale, self._scaler.get_scale()
        if self._scale < before:
            state.log_history.append({"step": state.global_step, _KEY: 1.0})


def overflow_findings(history: Sequence[dict[str, float]], steps: int) -> list[TrainingFinding]:
    """Returns what a training's log tells of steps that were left out.

    Args:
        history: The Trainer's log.
        steps: Optimizer steps of the run.
    """
    count = sum(_KEY in entry for entry in history)
    if not count:
        return []
    return [
        TrainingFinding(
            name="gradients overflowed",
            evidence=f"{count} of {steps} steps were skipped because their gradients overflowed in fp16",
            advice="Set train.precision to auto or fp32; a few skipped steps at the start are normal.",
        )
    ]


# Enough to tell rising from falling, and little beside an epoch.
MOST_ROWS = 200
_PREFIX = "held_out_"
_LOSS_KEY = f"{_PREFIX}loss"


class HeldOutLoss(TrainerCallback):
    """Measures the first held-out rows every so many steps.

    Args:
        run: The run, for its events.
        loss: The model, wrapped into its loss.
        rows: The held-out rows.
        course: The training's; its settings say how often to measure, and when to stop early.
        keep: Called at each measurement that is the best so far, if the training may stop early.
        watch: Called with all measurements so far, after each; what it raises ends the training.
    """

    def __init__(
        self,
        run: RunDirectory,
        loss: SummedLoss | ClassLoss,
        rows: Sequence[Example],
        course: Course,
        keep: Callable[[], None],
        watch: Callable[[Sequence[HeldOutPoint]], None] | None = None,
    ) -> None:
        settings = course.settings
        self._watch = watch
        self._run, self._loss, self._rows, self._keep = run, loss, first_rows(rows), keep
        self._batcher, self._micro, self._processes = course.batcher, settings.batch_size, course.processes
        self._every = settings.held_out_steps or course.order.per_epoch
        self._patience = settings.early_stopping

    def on_step_end(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        if not self._rows or (state.global_step % self._every and state.global_step < state.max_steps):
            return
        batches = [self._rows[start : start + self._micro] for start in range(0, len(self._rows), self._micro)]
        measured = _measured(self._loss, batches, self._batcher, self._processes)
        state.log_history.append({"step": state.global_step, **measured})
        points = held_out_points(state.log_history)
        if self._processes.main:
            self._run.event("train", event="held_out_loss", **points[-1].model_dump(exclude_none=True))
        if self._watch is not None:
            self._watch(points)
        if self._patience is None:
            return
        if _since_best(points) == 0:
            self._keep()
        elif self.ended(state.log_history):
            control.should_training_stop = control.should_log = True

    def ended(self, history: list[dict[str, float]]) -> bool:
        """Whether a training whose log is this one stops before its last step."""
        points = held_out_points(history)
        return self._patience is not None and bool(points) and _since_best(points) >= self._patience


def first_rows(rows: Sequence[Example]) -> list[Example]:
    """Returns as many of the rows as are measured."""
    return [rows[number] for number in range(min(MOST_ROWS, len(rows)))]


@torch.no_grad()
def row_losses(loss: SummedLoss, rows: Sequence[Example], batcher: Batcher) -> list[float]:
    """Returns the sum of the losses of each row's labels, in nats; the model is left ready to be trained.

    Args:
        loss: The model, wrapped into its loss.
        rows: What to measure; one after the other, since a batch has one sum.
        batcher: Makes batches of them.
    """
    loss.eval()
    device = loss.model.device
    batches = ({name: values.to(device) for name, values in batcher([row]).items()} for row in rows)
    sums = [float(loss(**batch)["loss"]) for batch in batches]
    loss.train()
    return sums


@torch.no_grad()
def _measured(
    loss: SummedLoss | ClassLoss,
    batches: Sequence[Sequence[Example]],
    batcher: Batcher | ClassBatcher,
    processes: Processes,
) -> dict[str, float]:
    """Returns what the batches are measured at.

    Each process measures some, and all add up in the batches' order: the sum is that of one process to the bit.
    """
    loss.eval()
    device = loss.model.device
    found: list[_Measured] = []
    for start in range(0, len(batches), processes.count):
        # What shares out the weights has all processes compute at once: those without a batch do the last again.
        batch = batcher(batches[min(start + processes.rank, len(batches) - 1)])
        made = loss(**{name: values.to(device) for name, values in batch.items()})
        said = (batch["labels"], made["logits"].cpu()) if isinstance(loss, ClassLoss) else None
        found.append(_Measured(float(made["loss"]), len(batch["targets"]), said))
    loss.train()
    total, labels = 0.0, 0
    measured = processes.gathered(found)[: len(batches)]
    for each in measured:
        total += each.total
        labels += each.labels
    said_of = [each.said for each in measured if each.said is not None]
    scores = class_scores(*map(torch.cat, zip(*said_of, strict=True))) if said_of else {}
    return {_LOSS_KEY: total / labels, **{_PREFIX + name: value for name, value in scores.items()}}


class _Measured(NamedTuple):
    """What one batch was measured at: the sum of its losses, how many labels it has, and a classifier's logits."""

    total: float
    labels: int
    said: tuple[torch.Tensor, torch.Tensor] | None


def _since_best(points: Sequence[HeldOutPoint]) -> int:
    """Returns how many measurements came after the best."""
    return len(points) - 1 - min(range(len(points)), key=lambda number: points[number].loss)


def held_out_points(history: list[dict[str, float]]) -> list[HeldOutPoint]:
    """Returns the measurements that the Trainer's log holds."""
    return [
        HeldOutPoint(
            step=int(entry["step"]),
            **{name.removeprefix(_PREFIX): value for name, value in entry.items() if name.startswith(_PREFIX)},
        )
        for entry in history
        if _LOSS_KEY in entry
    ]
