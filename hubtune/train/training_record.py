"""The record of a finished training: what was trained, how, for how long, and the diagnosis of its loss curves."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hubtune.data.drop_reasons import ON_PURPOSE, DropReason
from hubtune.models.memory import environment
from hubtune.records.data import DataRecord
from hubtune.records.training import EarlierTaskRecord, HeldOutPoint, LossPoint, TrainingFinding, TrainingRecord
from hubtune.train.batching import Course
from hubtune.train.callbacks import held_out_points, loss_points, overflow_findings
from hubtune.train.setup import Setup
from hubtune.train.trainer import RowTrainer, warmup_steps

# Above the noise of a few hundred held-out rows.
_ROSE = 1.02
_GAP = 0.7
_STILL_FALLING = 0.05
_UNMOVED, _NEARLY = 0.99, 0.97
_JUMP = 1.5
_FEW_STEPS = 20
_FEWEST_POINTS = 10
# A few odd rows are in any large data set; more of them mean that something is read in the wrong way.
_DROPPED = 0.03


def diagnose(losses: Sequence[LossPoint], held_out: Sequence[HeldOutPoint], steps: int) -> list[TrainingFinding]:
    """Returns what the curves show; nothing where they show nothing of note.

    Args:
        losses: The loss curve.
        held_out: The losses on held-out rows; may be empty.
        steps: Optimizer steps of the whole run.
    """
    first, last = losses[0].loss, losses[-1].loss
    found = [*_overfitting(last, held_out)]
    highest = max(losses[1:] or losses, key=lambda point: point.loss)
    if highest.loss > _JUMP * first:
        found.append(
            TrainingFinding(
                name="learning rate too high",
                evidence=f"the training loss rose from {first:.3f} to {highest.loss:.3f} at step {highest.step}",
                advice="Lower train.learning_rate, to a third at first, or raise train.warmup.",
            )
        )
    elif steps > 1 and _unmoved(losses):
        found.append(
            TrainingFinding(
                name="nothing learnt",
                evidence=f"the training loss was {first:.3f} at the start and {last:.3f} at the end",
                advice="Raise train.learning_rate or train.epochs, and look at the rows: hubtune data show",
            )
        )
    elif not found:
        found += _underfitting(losses)
    if steps < _FEW_STEPS:
        found.append(
            TrainingFinding(
                name="few steps",
                evidence=f"{steps} optimizer steps were made",
                advice="Raise train.epochs or lower train.batch_size, or give more rows.",
            )
        )
    return found


def _unmoved(losses: Sequence[LossPoint]) -> bool:
    """Whether the loss stayed where it was; of many points by means, since one point hangs on the rows of its steps."""
    first, last = losses[0].loss, losses[-1].loss
    if len(losses) < _FEWEST_POINTS:
        return last > _UNMOVED * first
    part = math.ceil(len(losses) / 5)
    before, after = (sum(point.loss for point in some) / part for some in (losses[:part], losses[-part:]))
    # A fall within the first part does not show in its mean.
    return after > _UNMOVED * before and after > _NEARLY * first


def diagnose_rows(data: DataRecord) -> list[TrainingFinding]:
    """Returns a finding where more than a few rows could not be used, those aside that the config asks to leave out."""
    wanted = {reason.text for reason in ON_PURPOSE}
    dropped: Counter[str] = Counter()
    for source in data.sources:
        dropped.update({text: count for text, count in source.dropped.items() if text not in wanted})
    rows, lost = sum(source.rows for source in data.sources), dropped.total()
    if lost <= _DROPPED * rows:
        return []
    reason, count = dropped.most_common(1)[0]
    fix = next((known.fix for known in DropReason if known.text == reason), "look at the rows: hubtune data show")
    return [
        TrainingFinding(
            name="rows dropped",
            evidence=f"{lost:,} of {rows:,} rows ({lost / rows:.0%}) could not be used, {count:,} because {reason}",
            advice=f"{fix[0].upper()}{fix[1:]}.",
        )
    ]


def _overfitting(last: float, held_out: Sequence[HeldOutPoint]) -> list[TrainingFinding]:
    if not held_out:
        return []
    best, end = min(held_out, key=lambda point: point.loss), held_out[-1]
    advice = "Train fewer epochs, set train.early_stopping, or give more rows."
    if end.loss > _ROSE * best.loss:
        evidence = f"the held-out loss was {best.loss:.3f} after step {best.step} and {end.loss:.3f} at the end"
    elif last < _GAP * end.loss:
        evidence = f"the training loss is {last:.3f} at the end, and the held-out loss {end.loss:.3f}"
    else:
        return []
    return [TrainingFinding(name="overfitting", evidence=evidence, advice=advice)]


def _underfitting(losses: Sequence[LossPoint]) -> list[TrainingFinding]:
    if len(losses) < _FEWEST_POINTS:
        return []
    part = math.ceil(len(losses) / 5)
    before = sum(point.loss for point in losses[-2 * part : -part]) / part
    after = sum(point.loss for point in losses[-part:]) / part
    if after > (1 - _STILL_FALLING) * before:
        return []
    return [
        TrainingFinding(
            name="underfitting",
            evidence=f"the training loss still fell over the last fifth, from {before:.3f} to {after:.3f}",
            advice="Raise train.epochs.",
        )
    ]


@dataclass(frozen=True)
class Ending:
    """How a training ended, beside its course.

    Attributes:
        upstream: The digests of what it was made from.
        earlier: What became of an earlier task; None if there is none.
        started: When it began.
        seconds: How long it took.
        files: What it made: name to sha256.
    """

    upstream: dict[str, str]
    earlier: EarlierTaskRecord | None
    started: datetime
    seconds: float
    files: Mapping[str, str]


def training_record(trainer: RowTrainer, setup: Setup, data: DataRecord | None, ending: Ending) -> TrainingRecord:
    """Returns the record of a training that has ended.

    Args:
        trainer: What trained.
        setup: What it began with.
        data: The data's record, for what its rows show; None if there is none.
        ending: How it ended.
    """
    course, subject = trainer.course, setup.subject
    settings, order, done = course.settings, course.order, trainer.state.global_step
    history = trainer.state.log_history
    losses, measured = loss_points(history), held_out_points(history)
    trainable, total = subject.counts()
    learnt, read = _tokens(course, done, classifies=subject.classes is not None)
    return TrainingRecord(
        upstream=ending.upstream,
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
        tokens=learnt,
        read_tokens=read,
        first_loss=losses[0].loss,
        final_loss=losses[-1].loss,
        losses=losses,
        held_out_losses=measured,
        best_step=None if trainer.best is None else min(measured, key=lambda point: point.loss).step,
        findings=_findings(history, done, data),
        earlier=ending.earlier,
        added_tokens=settings.added_tokens,
        vocabulary=subject.vocabulary,
        started=ending.started.isoformat(timespec="seconds"),
        seconds=round(ending.seconds, 1),
        files=dict(ending.files),
        environment=environment(),
    )


def _tokens(course: Course, done: int, *, classifies: bool) -> tuple[int, int]:
    """Returns how many target tokens, and how many tokens in all, the first `done` steps took."""
    examples = course.examples
    # A row of a class carries one label, and is itself what is learned.
    targets = course.order.count(lambda row: 1 if classifies else examples[row].learned, done)
    return targets, course.order.count(lambda row: len(examples[row].input_ids), done)


def _findings(history: list[dict[str, float]], done: int, data: DataRecord | None) -> list[TrainingFinding]:
    """Returns what the rows, the curves and the steps that were left out show."""
    return [
        *(diagnose_rows(data) if data is not None else []),
        *diagnose(loss_points(history), held_out_points(history), done),
        *overflow_findings(history, done),
    ]
