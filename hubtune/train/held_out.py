"""Measures held-out rows while training goes on, and stops where they no longer get better."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from hubtune.data.tokens import Example
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import HeldOutPoint
from hubtune.train.batches import Batcher
from hubtune.train.classes import ClassBatcher, ClassLoss, class_scores
from hubtune.train.loss import SummedLoss

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

# Enough to tell rising from falling, and little beside an epoch.
MOST_ROWS = 200
_PREFIX = "held_out_"
_KEY = f"{_PREFIX}loss"


class HeldOutLoss(TrainerCallback):  # type: ignore[misc]
    """Measures the first held-out rows every so many steps.

    Args:
        run: The run, for its events.
        loss: The model, wrapped into its loss.
        rows: The held-out rows.
        batcher: Makes batches of them.
        micro: How many rows go through the model at once.
        every: Steps from one measurement to the next; the last step has one too.
        patience: Stop after so many measurements in a row that were no better than the best; None to go on to the end.
        keep: Called at each measurement that is the best so far, where there is a patience.
    """

    def __init__(
        self,
        run: RunDirectory,
        loss: SummedLoss | ClassLoss,
        rows: Sequence[Example],
        batcher: Batcher | ClassBatcher,
        micro: int,
        every: int,
        patience: int | None,
        keep: Callable[[], None],
    ) -> None:
        self._run, self._loss, self._batcher, self._micro = run, loss, batcher, micro
        self._rows = first_rows(rows)
        self._every, self._patience, self._keep = every, patience, keep

    def on_step_end(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        if not self._rows or (state.global_step % self._every and state.global_step < state.max_steps):
            return
        measured = _measured(self._loss, self._rows, self._batcher, self._micro)
        state.log_history.append({"step": state.global_step, **measured})
        points = held_out_points(state.log_history)
        self._run.event("train", event="held_out_loss", **points[-1].model_dump(exclude_none=True))
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


@torch.no_grad()  # type: ignore[untyped-decorator]
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


@torch.no_grad()  # type: ignore[untyped-decorator]
def _measured(
    loss: SummedLoss | ClassLoss, rows: Sequence[Example], batcher: Batcher | ClassBatcher, micro: int
) -> dict[str, float]:
    loss.eval()
    total, labels = 0.0, 0
    said: list[tuple[torch.Tensor, torch.Tensor]] = []
    device = loss.model.device
    for start in range(0, len(rows), micro):
        batch = batcher(rows[start : start + micro])
        labels += len(batch["targets"])
        made = loss(**{name: values.to(device) for name, values in batch.items()})
        total += float(made["loss"])
        if isinstance(loss, ClassLoss):
            said.append((batch["labels"], made["logits"].cpu()))
    loss.train()
    scores = class_scores(*map(torch.cat, zip(*said, strict=True))) if said else {}
    return {_KEY: total / labels, **{_PREFIX + name: value for name, value in scores.items()}}


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
        if _KEY in entry
    ]
