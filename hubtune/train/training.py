"""The train stage: fine-tunes the pinned base model on the prepared examples and saves the adapter."""

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from hubtune.models.load_errors import computing
from hubtune.models.row_attention import attending_by_rows
from hubtune.records.data import DataRecord
from hubtune.records.training import EarlierTaskRecord, TrainingRecord
from hubtune.train.batching import Course, choose_loss, row_order
from hubtune.train.callbacks import HeldOutLoss, Reporter
from hubtune.train.checkpoints import Checkpoints, Saver
from hubtune.train.continual_learning import EarlierTask
from hubtune.train.fast_lora import fast_adapters
from hubtune.train.loss import ClassLoss, SummedLoss
from hubtune.train.setup import Setup, TrainJob, memory_errors, set_up
from hubtune.train.trainer import RowTrainer
from hubtune.train.training_record import Ending, training_record


def train(job: TrainJob) -> TrainingRecord:
    """Trains, and puts the adapter, or the whole model, into the run directory, complete or not at all.

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
    checkpoints = Checkpoints(run.checkpoints_dir, upstream, job.config.train.keep_checkpoints)
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
        first_step,
        checkpoint,
        scaled=setup.precision == "fp16",
    )
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        trainer, earlier = _fit(job, setup, course, checkpoints)
    finally:
        checkpoints.tidy()
    seconds = time.monotonic() - clock
    files = setup.subject.save(run, setup.beside, job.progress)
    data = run.read(DataRecord) if run.has(DataRecord) else None
    return training_record(trainer, setup, data, Ending(upstream, earlier, started, seconds, files))


def _fit(
    job: TrainJob, setup: Setup, course: Course, checkpoints: Checkpoints
) -> tuple[RowTrainer, EarlierTaskRecord | None]:
    """Trains the model to its best weights; returns what trained, and what became of an earlier task."""
    model = setup.subject.model
    refused = memory_errors(setup.work, job.base.folder)
    attention = attending_by_rows(model) if setup.batcher.by_rows else nullcontext()
    with fast_adapters(model), attention, refused, computing(job.base.name):
        loss = choose_loss(model, setup.batcher, job.examples, job.progress, setup.computed)
        # Before any weight of a checkpoint is loaded: what is held is the start, also of a run that is resumed.
        known = _begin_earlier(job, setup, loss)
        trainer = _run_steps(job, course, loss, checkpoints, known)
        trainer.restore_best()
        setup.subject.require_finite(trainer.state.global_step)
        return trainer, None if known is None else known.finish(job.progress)


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
    saver = Saver(run, checkpoints, course.settings.checkpoint_steps)
    with job.progress.task("Training", course.order.steps) as task, saver.stopping():
        measuring = HeldOutLoss(run, loss, job.held_out, course, lambda: trainer.keep_best())
        callbacks = [Reporter(run, task, job.base.name), measuring, saver]
        trainer = RowTrainer(loss, course, callbacks, None if earlier is None else earlier.consolidation)
        trainer.go(measuring.ended)
    return trainer


def _checkpoint(checkpoints: Checkpoints, job: TrainJob) -> tuple[int, Path] | None:
    """Returns the checkpoint to resume from, its step and folder; if there is none, removes what is there."""
    found = checkpoints.newest() if job.resume else None
    if found is None and checkpoints.present:
        job.progress.warn(
            "No checkpoint is both complete and of this config, these pins and these rows: training from the start"
            if job.resume
            else "Training from the start, and without the checkpoints of the training before; "
            f"to resume from one: hubtune train {job.run.path} --resume"
        )
    if found is None:
        checkpoints.clear()
    return found
