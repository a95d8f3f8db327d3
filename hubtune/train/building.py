"""Chooses how the rows go through the model: packed or padded, and by which way to the loss."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubtune.config.training import TrainConfig
from hubtune.data.tokens import Example
from hubtune.models.classifier import Classes
from hubtune.models.isolation import rows_are_isolated
from hubtune.models.row_attention import can_attend_by_rows
from hubtune.records.progress import Progress
from hubtune.train.batches import Batcher
from hubtune.train.classes import ClassBatcher, ClassLoss
from hubtune.train.loss import SummedLoss, summed_loss
from hubtune.train.order import RowOrder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Rows, and tokens of a row, that the two ways to the loss are compared on.
_CHECKED = (2, 64)


def choose_batcher(
    settings: TrainConfig, model: "PreTrainedModel", pad_id: int, progress: Progress, classes: Classes | None = None
) -> Batcher | ClassBatcher:
    """Returns what makes the batches: packed where that is asked for and the model keeps rows apart."""
    if classes is not None:
        return ClassBatcher(pad_id, len(classes.names) if classes.several else None)
    by_rows = settings.packing and can_attend_by_rows(model, settings.max_length)
    packed = by_rows or (settings.packing and rows_are_isolated(model))
    if settings.packing and not packed:
        progress.warn("This architecture cannot keep packed rows apart: rows of like length are padded instead")
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
        progress.say("The loss is made by the model's own forward, as this model needs; that takes more memory")
    return loss


def row_order(settings: TrainConfig, examples: Sequence[Example], packed: bool) -> RowOrder:
    """Returns which rows each step takes."""
    per_step = settings.batch_size * settings.gradient_accumulation
    lengths = None if packed else _lengths(examples)
    return RowOrder(len(examples), per_step, settings.epochs, settings.seed, lengths, settings.steps)


def _lengths(examples: Sequence[Example]) -> Sequence[int]:
    # Rows that are read lazily know their lengths without being read.
    known: Sequence[int] | None = getattr(examples, "lengths", None)
    return known if known is not None else [len(example.input_ids) for example in examples]


def _end_of(example: Example, tokens: int) -> Example:
    # Prompts, which carry no loss, come first.
    return Example(example.text, example.input_ids[-tokens:], example.labels[-tokens:], example.truncated)
