"""Builds the loop of a run from its settings."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubtune.config.schema import TrainConfig
from hubtune.data.tokens import Example
from hubtune.models.isolation import rows_are_isolated
from hubtune.records.progress import Progress
from hubtune.train.batches import Batcher
from hubtune.train.loop import Loop
from hubtune.train.loss import summed_loss
from hubtune.train.optimizer import adamw, rate_factor
from hubtune.train.order import RowOrder
from hubtune.train.tunable import Tunable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Losses are logged about this many times in a run, and at least every ten steps.
_LOGS = 50
# Rows and tokens of a row that the two ways to a loss are compared on.
_CHECKED = (2, 64)


def packs(settings: TrainConfig, base: "PreTrainedModel", progress: Progress) -> bool:
    """Whether rows share sequences: asked for, and the base keeps them apart; else says what is done instead."""
    if not settings.packing or rows_are_isolated(base):
        return settings.packing
    progress.warn("This architecture cannot keep packed rows apart: rows of like length share padded batches instead")
    return False


def build_loop(
    settings: TrainConfig,
    tunable: Tunable,
    examples: Sequence[Example],
    pad_id: int,
    packed: bool,
    precision: str,
    progress: Progress,
) -> Loop:
    """Returns the loop over all rows, with a fresh optimizer.

    Args:
        settings: How to train.
        tunable: What to train.
        examples: The rows to train on.
        pad_id: The token to pad with.
        packed: Whether rows share sequences.
        precision: What the base's weights are held in.
        progress: Told where the loss takes more memory than it might.
    """
    import torch

    device = tunable.model.device
    batcher = Batcher.of(pad_id, packed, settings.max_length, device)
    rows, most = _CHECKED
    shortened = [_shortened(example, most) for example in examples[:rows]]
    loss = summed_loss(tunable.model, batcher.batch(shortened).arguments)
    if loss.own:
        progress.say("The loss is made by the model's own forward, as this model needs; that takes more memory")
    order = RowOrder(
        len(examples),
        settings.batch_size * settings.gradient_accumulation,
        settings.epochs,
        settings.seed,
        None if packed else _lengths(examples),
    )
    factor = rate_factor(settings.schedule, order.steps, warmup_steps(settings, order.steps))
    return Loop(
        loss=loss,
        weights=tunable.weights,
        examples=examples,
        order=order,
        batcher=batcher,
        micro=settings.batch_size,
        optimizer=adamw(list(tunable.weights.values()), settings.learning_rate, settings.weight_decay),
        rate=lambda step: settings.learning_rate * factor(step),
        max_norm=settings.max_grad_norm,
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "fp16"),
        log_every=settings.logging_steps or max(1, min(10, order.steps // _LOGS)),
    )


def warmup_steps(settings: TrainConfig, steps: int) -> int:
    """Returns how many of the steps are warm-up."""
    return math.ceil(settings.warmup * steps)


def _lengths(examples: Sequence[Example]) -> Sequence[int]:
    # Rows that are read lazily know their lengths without being read.
    known: Sequence[int] | None = getattr(examples, "lengths", None)
    return known if known is not None else [len(example.input_ids) for example in examples]


def _shortened(example: Example, most: int) -> Example:
    # Its end is taken: prompts come first, and carry no loss.
    return Example(example.text, example.input_ids[-most:], example.labels[-most:], example.truncated)
