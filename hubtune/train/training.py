"""The train stage: fine-tunes the pinned base model on the prepared examples, saves the adapter, and writes the record.

The record says what was trained, how and for how long, with a diagnosis of the loss curves.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from hubtune.data.segments import ON_PURPOSE, DropReason
from hubtune.models.config_files import computing
from hubtune.models.memory import environment
from hubtune.models.row_attention import attending_by_rows
from hubtune.records import results
from hubtune.records.data import DataRecord
from hubtune.train.batching import Batcher, Course, choose_loss, row_order
from hubtune.train.callbacks import HeldOutLoss, Reporter, held_out_points, loss_points, overflow_findings
from hubtune.train.continual_learning import EarlierTask
from hubtune.train.cost import cost_record
from hubtune.train.fast_lora import fast_adapters
from hubtune.train.loss import ClassLoss, SummedLoss
from hubtune.train.methods.method import Trainable, make_trainable
from hubtune.train.reporting import Spending, Tracking, spent, tracker_runs
from hubtune.train.setup import Setup, TrainJob, memory_errors, set_up
from hubtune.train.trainer import Checkpoints, RowTrainer, Saver, load_weights, warmup_steps

# Above the noise of a few hundred held-out rows.
_ROSE = 1.02
_GAP = 0.7
_STILL_FALLING = 0.05
_UNMOVED, _NEARLY = 0.99, 0.97
_JUMP = 1.5
_FEW_STEPS = 20
_FEWEST_POINTS = 10
# A few odd rows are in any large dataset; more of them mean that something is read in the wrong way.
_DROPPED = 0.03


def diagnose(
    losses: Sequence[results.LossPoint], held_out: Sequence[results.HeldOutPoint], steps: int
) -> list[results.TrainingFinding]:
    """Returns the findings about the loss curves; none if they are normal.

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
            results.TrainingFinding(
                name="learning rate too high",
                evidence=f"the training loss rose from {first:.3f} to {highest.loss:.3f} at step {highest.step}",
                advice="Lower train.learning_rate, to a third at first, or raise train.warmup.",
            )
        )
    elif steps > 1 and _unmoved(losses):
        found.append(
            results.TrainingFinding(
                name="loss did not fall",
                evidence=f"the training loss was {first:.3f} at the start and {last:.3f} at the end",
                advice="Raise train.learning_rate or train.epochs, and inspect the rows with hubtune data show.",
            )
        )
    elif not found:
        found += _underfitting(losses)
    if steps < _FEW_STEPS:
        found.append(
            results.TrainingFinding(
                name="few steps",
                evidence=f"the training had only {steps} optimizer steps",
                advice="Raise train.epochs or lower train.batch_size, or give more rows.",
            )
        )
    return found


def _unmoved(losses: Sequence[results.LossPoint]) -> bool:
    """Whether the loss stayed where it was; of many points by means, since one point hangs on the rows of its steps."""
    first, last = losses[0].loss, losses[-1].loss
    if len(losses) < _FEWEST_POINTS:
        return last > _UNMOVED * first
    part = math.ceil(len(losses) / 5)
    before, after = (sum(point.loss for point in some) / part for some in (losses[:part], losses[-part:]))
    # A fall within the first part does not show in its mean.
    return after > _UNMOVED * before and after > _NEARLY * first


def diagnose_rows(data: DataRecord) -> list[results.TrainingFinding]:
    """Returns a finding if more than a few rows could not be used, without those that the config says to drop."""
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
        results.TrainingFinding(
            name="rows dropped",
            evidence=f"{lost:,} of {rows:,} rows ({lost / rows:.0%}) could not be used, {count:,} because {reason}",
            advice=f"{fix[0].upper()}{fix[1:]}.",
        )
    ]


def _overfitting(last: float, held_out: Sequence[results.HeldOutPoint]) -> list[results.TrainingFinding]:
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
    return [results.TrainingFinding(name="overfitting", evidence=evidence, advice=advice)]


def _underfitting(losses: Sequence[results.LossPoint]) -> list[results.TrainingFinding]:
    if len(losses) < _FEWEST_POINTS:
        return []
    part = math.ceil(len(losses) / 5)
    before = sum(point.loss for point in losses[-2 * part : -part]) / part
    after = sum(point.loss for point in losses[-part:]) / part
    if after > (1 - _STILL_FALLING) * before:
        return []
    return [
        results.TrainingFinding(
            name="underfitting",
            evidence=f"the training loss still fell over the last fifth, from {before:.3f} to {after:.3f}",
            advice="Raise train.epochs.",
        )
    ]


@dataclass(frozen=True)
class Ending:
    """The end of a training, besides its course.

    Attributes:
        upstream: The digests of what it was made from.
        earlier: What became of an earlier task; None if there is none.
        started: When it began.
        seconds: How long it took.
        files: What it made: name to sha256.
    """

    upstream: dict[str, str]
    earlier: results.EarlierTaskRecord | None
    started: datetime
    seconds: float
    files: Mapping[str, str]


def training_record(
    trainer: RowTrainer, setup: Setup, data: DataRecord | None, ending: Ending
) -> results.TrainingRecord:
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
    return results.TrainingRecord(
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
        processes=_processes(course),
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
        cost=cost_record(spent(history), (trainable, total), read, settings.country),
        trackers=tracker_runs(history),
        files=dict(ending.files),
        environment=environment(),
    )


def _processes(course: Course) -> results.ProcessesRecord | None:
    processes, share = course.processes, course.share
    if not processes.launched:
        return None
    return results.ProcessesRecord(
        count=processes.count,
        backend=processes.backend,
        sharding=None if processes.sharding is None else processes.sharding.name,
        batch_size=share.size,
        gradient_accumulation=share.accumulated,
    )


def _tokens(course: Course, done: int, *, classifies: bool) -> tuple[int, int]:
    """Returns how many target tokens, and how many tokens in all, the first `done` steps took."""
    examples = course.examples
    # A row of a class carries one label, and is itself what is learned.
    targets = course.order.count(lambda row: 1 if classifies else examples[row].learned, done)
    return targets, course.order.count(lambda row: len(examples[row].input_ids), done)


def _findings(history: list[dict[str, float]], done: int, data: DataRecord | None) -> list[results.TrainingFinding]:
    """Returns what the rows, the curves and the steps that were left out show."""
    return [
        *(diagnose_rows(data) if data is not None else []),
        *diagnose(loss_points(history), held_out_points(history), done),
        *overflow_findings(history, done),
    ]


def train(job: TrainJob) -> results.TrainingRecord:
    """Trains, and writes the adapter or the complete model into the run directory, atomically.

    Returns:
        The training record; its upstream digests are those of the run directory now.

    Raises:
        ModelError: The base model cannot be loaded, or cannot compute with the rows.
        TrainingError: The layers do not exist, or the run diverged.
        InterruptedTrainingError: The user stopped it; a checkpoint was made.
        MemoryNeededError: The memory did not do.
        DiskFullError: There is no room for the adapter.
    """
    run = job.run
    upstream = run.digests("config", "pins.json", "data.json")
    checkpoints = Checkpoints(run.checkpoints_dir, upstream, job.config.train.keep_checkpoints, job.processes)
    first_step, checkpoint = _checkpoint(checkpoints, job) or (0, None)
    setup = set_up(job)
    order = row_order(setup.settings, job.examples, setup.batcher.packed)
    if checkpoint is not None:
        job.progress.say(f"Resuming after step {first_step:,} of {order.steps:,}")
    course = Course(
        setup.settings,
        job.examples,
        order,
        setup.batcher,
        checkpoints.unfinished,
        job.processes,
        first_step,
        checkpoint,
        scaled=setup.precision == "fp16",
    )
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        trainer, earlier = _fit(job, setup, course, checkpoints)
    finally:
        if job.processes.main:
            checkpoints.tidy()
    seconds = time.monotonic() - clock
    setup = replace(setup, subject=_whole(job, setup, trainer))
    files = {}
    if job.processes.main:
        setup.subject.require_finite(trainer.state.global_step)
        files = setup.subject.save(run, setup.beside, job.progress)
    data = run.read(DataRecord) if run.has(DataRecord) else None
    return training_record(trainer, setup, data, Ending(upstream, earlier, started, seconds, files))


def _fit(
    job: TrainJob, setup: Setup, course: Course, checkpoints: Checkpoints
) -> tuple[RowTrainer, results.EarlierTaskRecord | None]:
    """Trains the model to its best weights; returns what trained, and what became of an earlier task."""
    model = setup.subject.model
    refused = memory_errors(setup.work, job.base.folder)
    attention = attending_by_rows(model) if setup.batcher.by_rows else nullcontext()
    sharding = job.processes.sharding
    split = sharding is not None and sharding.partitions_weights
    if split and not setup.subject.whole:
        job.progress.say("The adapter computes by peft's own code, which reads weights that are split over processes")
    with nullcontext() if split else fast_adapters(model), attention, refused, computing(job.base.name):
        if sharding is not None and sharding.empties_weights and isinstance(setup.batcher, Batcher):
            # The short way reads the head's weights where they are not there.
            loss: SummedLoss | ClassLoss = SummedLoss(model, own=True, computed=setup.computed)
        else:
            loss = choose_loss(model, setup.batcher, job.examples, job.progress, setup.computed)
        # Before any weight of a checkpoint is loaded: what is held is the start, also of a run that is resumed.
        known = _begin_earlier(job, setup, loss)
        trainer = _run_steps(job, course, loss, checkpoints, known)
        trainer.restore_best()
        return trainer, None if known is None else known.finish(job.progress)


def _whole(job: TrainJob, setup: Setup, trainer: RowTrainer) -> Trainable:
    """Returns what was trained; where processes hold a part each, the main process puts it together from the base."""
    if job.processes.sharding is None:
        return setup.subject
    weights = trainer.trained()
    if not job.processes.main:
        return setup.subject
    # Else transformers would load a part of the base here, and wait for the other processes to load theirs.
    unset_hf_deepspeed_config()
    subject = make_trainable(setup.settings, job.base, setup.precision, job.classes, job.adapter)
    load_weights(subject.model, {name.removeprefix("model."): weight for name, weight in weights.items()})
    return subject


def _begin_earlier(job: TrainJob, setup: Setup, loss: SummedLoss | ClassLoss) -> EarlierTask | None:
    """Measures the model on an earlier task, and finds what holds its weights; None if there is no such task."""
    config, progress = job.config.earlier, job.progress
    if job.earlier is None or config is None:
        return None
    known = EarlierTask.begin(job.earlier, loss, setup.batcher, progress)
    return known.consolidated(config.ewc, setup.settings.seed, progress)


def _run_steps(
    job: TrainJob,
    course: Course,
    loss: SummedLoss | ClassLoss,
    checkpoints: Checkpoints,
    earlier: EarlierTask | None,
) -> RowTrainer:
    """Trains from the course's start to its end; returns what trained."""
    run = job.run
    saver = Saver(run, checkpoints, course.settings.checkpoint_steps, job.processes)
    with job.progress.task("Training", course.order.steps) as task, saver.stopping():
        measuring = HeldOutLoss(run, loss, job.held_out, course, lambda: trainer.keep_best(), job.watch)
        tracking, spending = Tracking(run, job.progress), Spending(course.settings.country, job.progress)
        # What asks for a checkpoint comes before what is to be in it.
        callbacks = [Reporter(run, task, job.base.name), measuring, saver, tracking, spending]
        trainer = RowTrainer(loss, course, callbacks, None if earlier is None else earlier.consolidation)
        with closing(tracking), closing(spending):
            trainer.go(measuring.ended)
    return trainer


def _checkpoint(checkpoints: Checkpoints, job: TrainJob) -> tuple[int, Path] | None:
    """Returns the checkpoint to resume from, its step and folder; if there is none, removes what is there."""
    found = checkpoints.newest() if job.resume else None
    # None is removed while another process looks for it.
    job.processes.wait()
    if found is None and checkpoints.present:
        job.progress.warn(
            "No checkpoint is both complete and of this config, these pins and these rows: training from the start"
            if job.resume
            else "Training from the start, and without the checkpoints of the training before; "
            f"to resume from one: hubtune train {job.run.path} --resume"
        )
    if found is None and job.processes.main:
        checkpoints.clear()
    job.processes.wait()
    return found
