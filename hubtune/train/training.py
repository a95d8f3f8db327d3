"""The train stage: fine-tunes the pinned base model on the prepared examples and saves the adapter."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.partition import EarlierRows
from hubtune.data.tokens import Example
from hubtune.models.classifier import Classes
from hubtune.models.generation import ends_of_rows
from hubtune.models.load_errors import computing
from hubtune.models.row_attention import attending_by_rows
from hubtune.records.base import Progress
from hubtune.records.data import DataRecord
from hubtune.records.pins import Pin
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord
from hubtune.train.batching import RowOrder, choose_loss, row_order
from hubtune.train.callbacks import HeldOutLoss, Reporter
from hubtune.train.checkpoints import Checkpoints, Saver
from hubtune.train.continual_learning import EarlierTask
from hubtune.train.fast_lora import fast_adapters
from hubtune.train.loss import ClassLoss, SummedLoss
from hubtune.train.setup import Setup, memory_errors, set_up
from hubtune.train.trainer import RowTrainer
from hubtune.train.training_record import training_record

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROWS_FOR_ENDS = 256


def train(
    run: RunDirectory,
    config: TuneConfig,
    base_pin: Pin,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    progress: Progress,
    *,
    classes: Classes | None = None,
    adapter: tuple[Pin, Path] | None = None,
    held_out: Sequence[Example] = (),
    earlier: EarlierRows | None = None,
    resume: bool = False,
) -> TrainingRecord:
    """Trains, and puts the adapter, or the whole model, into the run directory, complete or not at all.

    Args:
        run: The run directory.
        config: The run's config.
        base_pin: The base model's pin.
        base_folder: Its snapshot.
        tokenizer: Its tokenizer, with the tokens that the config adds.
        examples: The rows to train on.
        progress: Told of each step.
        classes: What a classifier tells apart; None for a model that writes text.
        adapter: The adapter that is trained further, and its snapshot; None for a new one.
        held_out: The rows to measure while training goes on.
        earlier: Rows of an earlier task, those that are replayed being among `examples` too; None where there is none.
        resume: Whether to go on from the newest complete checkpoint, where there is one; else all are removed.

    Returns:
        The training record; its upstream digests are those of the run directory now.

    Raises:
        ModelError: The base model cannot be loaded, or cannot compute with the rows.
        TrainingError: The layers do not exist, or the run diverged.
        InterruptedTrainingError: The user stopped it; a checkpoint was made.
        MemoryNeededError: The memory did not do.
        DiskFullError: There is no room for the adapter.
    """
    upstream = run.digests("config", "pins.json", "data.json")
    checkpoints = Checkpoints(run.checkpoints_dir, upstream, config.train.keep_checkpoints)
    found = _checkpoint(checkpoints, run, progress, resume=resume)
    # Those of the template that wrote the rows, whatever it needs to be asked for one.
    ends = [] if classes else ends_of_rows(tokenizer, (each.input_ids for each in examples[:_ROWS_FOR_ENDS]))
    setup = set_up(config, base_pin, base_folder, tokenizer, progress, classes, adapter, ends)
    order = row_order(setup.settings, examples, setup.batcher.packed)
    if found is not None:
        progress.say(f"Resuming after step {found[0]:,} of {order.steps:,}")
    started, clock = datetime.now(UTC), time.monotonic()
    model = setup.subject.model
    refused = memory_errors(setup.work, base_folder)
    attention = attending_by_rows(model) if setup.batcher.by_rows else nullcontext()
    try:
        with fast_adapters(model), attention, refused, computing(base_pin.repo):
            loss = choose_loss(model, setup.batcher, examples, progress, setup.computed)
            # Before any weight of a checkpoint is loaded: what is held is the start, also of a run that goes on.
            known = _begin_earlier(config, earlier, setup, loss, progress)
            trainer = _trained(run, setup, loss, examples, held_out, order, checkpoints, found, known, progress)
            trainer.restore_best()
            setup.subject.require_finite(trainer.state.global_step)
            forgotten = None if known is None else known.finish(progress)
    finally:
        checkpoints.tidy()
    seconds = time.monotonic() - clock
    files = setup.subject.save(run, setup.beside, progress)
    return training_record(
        trainer,
        order,
        setup,
        examples,
        upstream=upstream,
        data=run.read(DataRecord) if run.has(DataRecord) else None,
        earlier=forgotten,
        started=started,
        seconds=seconds,
        files=files,
    )


def _begin_earlier(
    config: TuneConfig, rows: EarlierRows | None, setup: Setup, loss: SummedLoss | ClassLoss, progress: Progress
) -> EarlierTask | None:
    """Measures the model on an earlier task, and finds what holds its weights; None where there is no such task."""
    if rows is None or config.earlier is None:
        return None
    settings = setup.settings
    return EarlierTask.begin(config.earlier, rows, loss, setup.batcher, settings.seed, progress)


def _trained(
    run: RunDirectory,
    setup: Setup,
    loss: SummedLoss | ClassLoss,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    order: RowOrder,
    checkpoints: Checkpoints,
    found: tuple[int, Path] | None,
    earlier: EarlierTask | None,
    progress: Progress,
) -> RowTrainer:
    """Trains from the start, or from the checkpoint that was found, to the end; returns what trained."""
    settings = setup.settings
    first_step, checkpoint = found or (0, None)
    saver = Saver(run, checkpoints, settings.checkpoint_steps)
    with progress.task("Training", order.steps) as task, saver.stopping():
        measuring = HeldOutLoss(
            run,
            loss,
            held_out,
            setup.batcher,
            settings.batch_size,
            settings.held_out_steps or order.per_epoch,
            settings.early_stopping,
            lambda: trainer.keep_best(),
        )
        trainer = RowTrainer(
            loss,
            settings,
            examples,
            order,
            setup.batcher,
            checkpoints.unfinished,
            first_step,
            [Reporter(run, task, setup.base), measuring, saver],
            None if earlier is None else earlier.consolidation,
            scaled=setup.precision == "fp16",
        )
        trainer.go(checkpoint, measuring.ended)
    return trainer


def _checkpoint(
    checkpoints: Checkpoints, run: RunDirectory, progress: Progress, *, resume: bool
) -> tuple[int, Path] | None:
    """Returns the checkpoint to go on from, its step and folder; where there is none, removes what is there."""
    found = checkpoints.newest() if resume else None
    if found is None and checkpoints.present:
        progress.warn(
            "No checkpoint is both complete and of this config, these pins and these rows: training from the start"
            if resume
            else "Training from the start, and without the checkpoints of the training before; "
            f"to resume from one: hubtune train {run.path} --resume"
        )
    if found is None:
        checkpoints.clear()
    return found
