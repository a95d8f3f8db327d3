"""The record of a finished training: what was trained, how, for how long, and what its course shows."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from hubtune.data.tokens import Example
from hubtune.models.environment import environment
from hubtune.records.data import DataRecord
from hubtune.records.training import EarlierTaskRecord, TrainingRecord
from hubtune.train.diagnosis import diagnose, diagnose_rows
from hubtune.train.held_out import held_out_points
from hubtune.train.order import RowOrder
from hubtune.train.overflows import overflow_findings
from hubtune.train.reporting import loss_points
from hubtune.train.setup import Setup
from hubtune.train.trainer import RowTrainer, warmup_steps


def training_record(
    trainer: RowTrainer,
    order: RowOrder,
    setup: Setup,
    examples: Sequence[Example],
    *,
    upstream: dict[str, str],
    data: DataRecord | None,
    earlier: EarlierTaskRecord | None,
    started: datetime,
    seconds: float,
    files: Mapping[str, str],
) -> TrainingRecord:
    """Returns the record of a training that has ended.

    Args:
        trainer: What trained.
        order: Which rows its steps took.
        setup: What it began with.
        examples: The rows that the order counts.
        upstream: The digests of what it was made from.
        data: The data's record, for what its rows show; None where there is none.
        earlier: What became of an earlier task.
        started: When it began.
        seconds: How long it took.
        files: What it made: name to sha256.
    """
    settings, subject = trainer.settings, setup.subject
    history, done = trainer.state.log_history, trainer.state.global_step
    losses, measured = loss_points(history), held_out_points(history)
    trainable, total = subject.counts()
    classifies = subject.classes is not None
    return TrainingRecord(
        upstream=upstream,
        method=settings.method,
        precision=setup.precision,
        target_modules=subject.layers,
        trainable_parameters=trainable,
        total_parameters=total,
        epochs=settings.epochs if settings.epochs and done == order.steps else round(order.epochs(done), 4),
        steps=done,
        batch_size=settings.batch_size,
        gradient_accumulation=settings.gradient_accumulation,
        packing=setup.batcher.packed,
        learning_rate=settings.learning_rate,
        optimizer=str(trainer.args.optim.value),
        schedule=settings.schedule,
        warmup_steps=warmup_steps(settings, order),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        # A row of a class carries one label, and is itself what is learnt.
        tokens=order.count(lambda row: 1 if classifies else examples[row].learnt, done),
        read_tokens=order.count(lambda row: len(examples[row].input_ids), done),
        first_loss=losses[0].loss,
        final_loss=losses[-1].loss,
        losses=losses,
        held_out_losses=measured,
        best_step=None if trainer.best is None else min(measured, key=lambda point: point.loss).step,
        findings=[
            *(diagnose_rows(data) if data is not None else []),
            *diagnose(losses, measured, done),
            *overflow_findings(history, done),
        ],
        earlier=earlier,
        added_tokens=settings.added_tokens,
        vocabulary=subject.vocabulary,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        files=dict(files),
        environment=environment(),
    )
