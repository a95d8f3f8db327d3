"""The train stage: fine-tunes the pinned base model on the prepared examples and saves the adapter."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.earlier import EarlierRows
from hubtune.data.tokens import Example
from hubtune.models.added_tokens import tokenizer_files
from hubtune.models.classifier import Classes
from hubtune.models.generation import GENERATION_CONFIG, generation_json, safe_generation_config
from hubtune.models.load import check_vocabulary, pad_id
from hubtune.models.precision import choose_precision, dtype_of
from hubtune.records.data import DataRecord
from hubtune.records.pins import Pin
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord
from hubtune.train.checkpoints import Checkpoints
from hubtune.train.methods.method import Trainable, make_trainable
from hubtune.train.out_of_memory import fit, memory_errors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        ModelError: The base model cannot be loaded.
        TrainingError: The layers do not exist, or the run diverged.
        InterruptedTrainingError: The user stopped it; a checkpoint was made.
        MemoryNeededError: The memory did not do.
        DiskFullError: There is no room for the adapter.
    """
    import torch
    from transformers import set_seed

    from hubtune.train.building import choose_batcher, choose_loss, row_order
    from hubtune.train.describing import training_record
    from hubtune.train.earlier import EarlierTask
    from hubtune.train.fast_lora import fast_adapters
    from hubtune.train.held_out import HeldOutLoss
    from hubtune.train.reporting import Reporter
    from hubtune.train.saving import Saver
    from hubtune.train.trainer import RowTrainer

    settings = config.train
    upstream = run.digests("config", "pins.json", "data.json")
    checkpoints = Checkpoints(run.checkpoints_dir, upstream, settings.keep_checkpoints)
    found = _checkpoint(checkpoints, run, progress, resume=resume)
    precision = choose_precision(settings.precision)
    kind = {"consolidated": config.consolidated, "classifies": classes is not None}
    if settings.fit_memory:
        settings = fit(settings, base_folder, precision, progress, **kind)
    if precision == "fp16" and not torch.cuda.is_available():
        progress.warn("A CPU computes in fp16 far slower than in fp32; train.precision: auto chooses what is fast here")
    # Weights that are trained themselves are held in fp32, whatever they compute in.
    computed = dtype_of(precision) if settings.whole and precision != "fp32" else None
    set_seed(settings.seed)
    subject = make_trainable(settings, base_folder, base_pin, precision, classes, adapter, tokenizer)
    model = subject.model
    check_vocabulary(model, tokenizer, base_pin.repo)
    beside = tokenizer_files(tokenizer) if settings.added_tokens else {}
    if classes is None:
        beside[GENERATION_CONFIG] = generation_json(safe_generation_config(base_folder, tokenizer, base_pin.repo))
    batcher = choose_batcher(settings, model, pad_id(tokenizer), progress, classes)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    _say_what_is_trained(subject, settings.method, precision, progress)
    order = row_order(settings, examples, batcher.packed)
    first_step, checkpoint = found or (0, None)
    if checkpoint is not None:
        progress.say(f"Going on after step {first_step:,} of {order.steps:,}")
    started, clock = datetime.now(UTC), time.monotonic()
    saver = Saver(run, checkpoints, settings.checkpoint_steps)
    try:
        # Before any weight of a checkpoint is loaded: what is held is the start, also of a run that goes on.
        with fast_adapters(model), memory_errors(settings, base_folder, model.dtype, **kind):
            loss = choose_loss(model, batcher, examples, progress, computed)
            known = None
            if earlier is not None and config.earlier is not None:
                size = settings.batch_size
                known = EarlierTask.begin(config.earlier, earlier, loss, batcher, size, settings.seed, progress)
        with (
            progress.task("Training", order.steps) as task,
            fast_adapters(model),
            saver.stopping(),
            memory_errors(settings, base_folder, model.dtype, **kind),
        ):
            measuring = HeldOutLoss(
                run,
                loss,
                held_out,
                batcher,
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
                batcher,
                checkpoints.unfinished,
                first_step,
                [Reporter(run, task), measuring, saver],
                None if known is None else known.consolidation,
                scaled=precision == "fp16",
            )
            trainer.go(checkpoint, measuring.ended)
    finally:
        checkpoints.tidy()
    trainer.restore_best()
    subject.require_finite(trainer.state.global_step)
    forgotten = None if known is None else known.finish(progress)
    seconds = time.monotonic() - clock
    files = subject.save(run, beside, progress)
    return training_record(
        trainer,
        order,
        subject,
        labels=lambda row: examples[row].learnt if classes is None else 1,
        tokens=lambda row: len(examples[row].input_ids),
        upstream=upstream,
        precision=precision,
        packing=batcher.packed,
        data=run.read(DataRecord) if run.has(DataRecord) else None,
        earlier=forgotten,
        started=started,
        seconds=seconds,
        files=files,
    )


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
            f"what goes on from them is: hubtune train {run.path} --resume"
        )
    if found is None:
        checkpoints.clear()
    return found


def _say_what_is_trained(subject: Trainable, method: str, precision: str, progress: Progress) -> None:
    """Tells how many parameters are trained, and of frozen layers which."""
    trainable, total = subject.counts()
    progress.say(
        f"{method} in {precision}: {trainable:,} of {total:,} parameters are trained ({100 * trainable / total:.2f} %)"
    )
    if method == "freeze":
        for part, trained, size in subject.table():
            progress.say(f"  {part}: {f'{trained:,} trained' if trained else 'frozen'} of {size:,}")
