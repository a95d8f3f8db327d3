"""The rows of each step and their batches: the order by seed and epoch, and packing if the model keeps rows apart.

`Course` holds all of this for a training, so that the loop, the held-out loss and the record count with the same
values.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from hubtune.config.training import TrainConfig
from hubtune.data.batch import collate, collate_packs, cumulative_lengths, even_packs
from hubtune.data.tokenization import IGNORED, Example
from hubtune.models.classifier import Classes
from hubtune.models.row_attention import can_attend_by_rows, rows_are_isolated
from hubtune.records.base import Progress
from hubtune.train.loss import ClassBatcher, ClassLoss, SummedLoss, places_and_targets, summed_loss
from hubtune.train.processes import ALONE, Processes, Share

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


# Rows of like length are looked for among those of this many steps.
_WINDOW = 50


class RowOrder:
    """The rows of each step; every epoch takes each row once, in an order of its own.

    Args:
        rows: How many there are.
        per_step: How many an optimizer step takes; the last step of an epoch takes what is left.
        steps: How many steps there are.
        seed: Decides the orders.
        lengths: Tokens of each row, if rows of like length are to go together, which saves padding. Without, rows are
            drawn evenly.
    """

    def __init__(self, rows: int, per_step: int, steps: int, seed: int, lengths: Sequence[int] | None = None) -> None:
        self.rows, self._per_step, self._seed = rows, per_step, seed
        self._lengths = None if lengths is None else np.asarray(lengths)
        self.per_epoch = math.ceil(rows / per_step)
        self.steps = steps

    def of(self, step: int) -> list[int]:
        """Returns the numbers of the rows of a step, counted from 0."""
        epoch, place = divmod(step, self.per_epoch)
        order = self._epoch(epoch)
        return [int(row) for row in order[place * self._per_step : (place + 1) * self._per_step]]

    def epochs(self, steps: int) -> float:
        """Returns how often each row is taken in the first `steps` steps; a fraction if some are taken once less."""
        epochs, part = divmod(steps, self.per_epoch)
        return epochs + part * self._per_step / self.rows

    def count(self, of_row: Callable[[int], int], steps: int) -> int:
        """Returns the sum of what each row counts for in the first `steps` steps, as often as it is taken in them."""
        epochs, part = divmod(steps, self.per_epoch)
        total = epochs * sum(of_row(row) for row in range(self.rows)) if epochs else 0
        return total + sum(of_row(row) for step in range(steps - part, steps) for row in self.of(step))

    @functools.lru_cache(maxsize=1)  # noqa: B019 - an order lives as long as its run
    def _epoch(self, epoch: int) -> npt.NDArray[np.int64]:
        generator = np.random.default_rng([self._seed, epoch])
        order = generator.permutation(self.rows)
        if self._lengths is None:
            return order
        window = _WINDOW * self._per_step
        for start in range(0, self.rows, window):
            rows = order[start : start + window]
            order[start : start + window] = rows[np.argsort(-self._lengths[rows], kind="stable")]
        # The last step of an epoch stays the last: it alone may be smaller.
        full = self.rows // self._per_step * self._per_step
        steps = order[:full].reshape(-1, self._per_step)
        return np.concatenate([steps[generator.permutation(len(steps))].ravel(), order[full:]])


def steps_of(epochs: float, rows: int, per_step: int) -> int:
    """Returns how many steps take each row `epochs` times; of a part of an epoch, the rows that come first.

    Args:
        epochs: How often each row is taken; above 0.
        rows: How many there are.
        per_step: How many an optimizer step takes.
    """
    whole, part = int(epochs), epochs - int(epochs)
    # The product may lie a rounding error above a whole number.
    return max(1, whole * math.ceil(rows / per_step) + math.ceil(round(part * rows / per_step, 9)))


class MicroBatches:
    """The rows of each micro-batch of an epoch: a batch sampler for torch's DataLoader.

    Each time that it is gone through it is at the next epoch.

    Args:
        order: The rows of each step.
        share: What this process does of a step. A micro-batch of no rows is the row `BLANK`.
        epoch: The epoch to begin with.
    """

    def __init__(self, order: RowOrder, share: Share, epoch: int = 0) -> None:
        self._order, self._share, self._epoch = order, share, epoch
        self.batch_size, self.drop_last = share.size, False

    def __len__(self) -> int:
        before = self._order.per_epoch - 1
        last = len(self._order.of(before))
        return before * self._share.accumulated + self._share.per_process(last)

    def __iter__(self) -> Iterator[list[int]]:
        first = self._epoch * self._order.per_epoch
        self._epoch += 1
        for step in range(first, first + self._order.per_epoch):
            for rows in self._share.micro_batches(self._order.of(step)):
                yield rows or [BLANK]


BLANK = -1
"""The number of a row that carries no loss: with several processes the last step of an epoch may lack rows for some."""


class Rows:
    """The rows of a training, for torch's DataLoader.

    Args:
        examples: The training set.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: int) -> Example:
        if number != BLANK:
            return self._examples[number]
        first = self._examples[0]
        return replace(first, labels=[IGNORED] * len(first.input_ids))


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


# On the CPU attention computes what the mask then hides, so that long sequences of short rows waste work.
_CPU_LENGTH = 256


@dataclass(frozen=True)
class Batcher:
    """Makes batches of examples; a collator for torch's DataLoader.

    Attributes:
        pad_id: The token to fill up with.
        packed: Whether rows share sequences.
        length: The most tokens of such a sequence, unless its longest row has more.
        by_rows: Whether the model attends to packed rows one by one, so that all rows of a batch share one sequence.
    """

    pad_id: int
    packed: bool
    length: int
    by_rows: bool = False

    @classmethod
    def of(cls, pad_id: int, packed: bool, max_length: int, device: "torch.device", *, by_rows: bool) -> "Batcher":
        """Returns one with the sequence length that suits the device."""
        length = min(max_length, _CPU_LENGTH) if device.type == "cpu" else max_length
        return cls(pad_id, packed, length, by_rows)

    def __call__(self, examples: Sequence[Example]) -> "dict[str, torch.Tensor]":
        """Returns one batch of all the examples: the arguments of `SummedLoss.forward`."""
        if self.by_rows:
            batch = collate_packs([examples], self.pad_id)
            batch["cu_seq_lens_q"] = cumulative_lengths(examples)
        elif self.packed:
            packs = even_packs([len(example.input_ids) for example in examples], self.length)
            batch = collate_packs([[examples[row] for row in pack] for pack in packs], self.pad_id)
        else:
            batch = collate(examples, self.pad_id)
        # Nothing is before a row's first token that it could be told from.
        batch["labels"][:, 0] = IGNORED
        batch["places"], batch["targets"] = places_and_targets(batch["labels"])
        return batch


@dataclass(frozen=True)
class Course:
    """The course of a training: which rows go through the model, in what order and batches, and where it begins.

    Attributes:
        settings: How to train.
        examples: The training set.
        order: Which rows each step takes.
        batcher: Makes batches of them.
        folder: Where the Trainer puts the parts of a checkpoint.
        processes: The processes of the training; this one does its share of each step.
        first_step: The step to begin with; above 0 if the training is resumed.
        checkpoint: The checkpoint to resume from; None to begin.
        scaled: Whether gradients are scaled up, as fp16 needs it, and steps in which they overflow are left out.
    """

    settings: TrainConfig
    examples: Sequence[Example]
    order: RowOrder
    batcher: Batcher | ClassBatcher
    folder: Path
    processes: Processes = ALONE
    first_step: int = 0
    checkpoint: Path | None = None
    scaled: bool = False

    @property
    def share(self) -> Share:
        """What this process does of each step."""
        return self.processes.share(self.settings)


# Rows, and tokens of a row, that the two ways to the loss are compared on.
_CHECKED = (2, 64)


def choose_batcher(
    settings: TrainConfig, model: "PreTrainedModel", pad_id: int, progress: Progress, classes: Classes | None = None
) -> Batcher | ClassBatcher:
    """Returns what makes the batches: packed if that is asked for and the model keeps rows apart."""
    if classes is not None:
        return ClassBatcher(pad_id, len(classes.names) if classes.several else None)
    by_rows = settings.packing and can_attend_by_rows(model, settings.max_length)
    packed = by_rows or (settings.packing and rows_are_isolated(model))
    if settings.packing and not packed:
        progress.warn("This architecture cannot separate packed rows: rows of similar length are padded instead")
    return Batcher.of(pad_id, packed, settings.max_length, model.device, by_rows=by_rows)


def choose_loss(
    model: "PreTrainedModel",
    batcher: Batcher | ClassBatcher,
    examples: Sequence[Example],
    progress: Progress,
    computed: "torch.dtype | None" = None,
) -> SummedLoss | ClassLoss:
    """Returns the model wrapped into its loss; `computed` is what weights that are held in fp32 compute in, if less."""
    if isinstance(batcher, ClassBatcher):
        return ClassLoss(model, computed=computed)
    rows, tokens = _CHECKED
    few = [_end_of(examples[row], tokens) for row in range(min(rows, len(examples)))]
    loss = summed_loss(model, {name: values.to(model.device) for name, values in batcher(few).items()}, computed)
    if loss.own:
        progress.say("This model has to compute the loss in its own forward pass, which takes more memory")
    return loss


def row_order(settings: TrainConfig, examples: Sequence[Example], packed: bool) -> RowOrder:
    """Returns which rows each step takes."""
    per_step = settings.batch_size * settings.gradient_accumulation
    steps = settings.steps or steps_of(settings.epochs or 1, len(examples), per_step)
    return RowOrder(len(examples), per_step, steps, settings.seed, None if packed else _lengths(examples))


def _lengths(examples: Sequence[Example]) -> Sequence[int]:
    # Rows that are read lazily know their lengths without being read.
    known: Sequence[int] | None = getattr(examples, "lengths", None)
    return known if known is not None else [len(example.input_ids) for example in examples]


def _end_of(example: Example, tokens: int) -> Example:
    # Prompts, which carry no loss, come first.
    return Example(example.text, example.input_ids[-tokens:], example.labels[-tokens:], example.truncated)
