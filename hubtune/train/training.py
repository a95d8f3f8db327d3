"""The train stage: fine-tunes the pinned base model on the prepared examples and saves the adapter."""

import math
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TrainConfig, TuneConfig
from hubtune.data.batch import collate
from hubtune.data.tokens import Example
from hubtune.models.environment import environment
from hubtune.models.generation import GENERATION_CONFIG, generation_json, safe_generation_config
from hubtune.models.load import check_vocabulary, pad_id
from hubtune.models.precision import choose_precision
from hubtune.records.pins import Pin
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord
from hubtune.train.methods.method import make_trainable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainingArguments

# Losses are logged about this many times in a run, and at least every ten steps.
_LOGS = 50


def train(
    run: RunDirectory,
    config: TuneConfig,
    base_pin: Pin,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    progress: Progress,
) -> TrainingRecord:
    """Trains, and puts the adapter into the run directory, complete or not at all.

    Returns:
        The training record; its upstream digests are those of the run directory now.

    Raises:
        ModelError: The base model cannot be loaded.
        TrainingError: The layers do not exist, or the run diverged.
        DiskFullError: There is no room for the adapter.
    """
    from transformers import Trainer, set_seed

    from hubtune.train.reporting import Reporter

    settings = config.train
    precision = choose_precision(settings.precision)
    set_seed(settings.seed)
    subject = make_trainable(settings, base_folder, base_pin, precision)
    model = subject.model
    check_vocabulary(model, tokenizer, base_pin.repo)
    generation = generation_json(safe_generation_config(base_folder, tokenizer, base_pin.repo))
    model.config.use_cache = False
    trainable, total = subject.counts()
    progress.say(
        f"{settings.method} in {precision}: {trainable:,} of {total:,} parameters are trained "
        f"({100 * trainable / total:.2f} %)"
    )
    if settings.method == "freeze":
        for part, trained, size in subject.table():
            progress.say(f"  {part}: {f'{trained:,} trained' if trained else 'frozen'} of {size:,}")
    steps = max(1, math.ceil(len(examples) / settings.batch_size * settings.epochs))
    padding = pad_id(tokenizer)
    started, clock = datetime.now(UTC), time.monotonic()
    with progress.task("Training", steps) as task, tempfile.TemporaryDirectory() as scratch:
        reporter = Reporter(run, task)
        trainer = Trainer(
            model=model,
            args=_arguments(settings, steps, scratch),
            train_dataset=list(examples),
            data_collator=lambda batch: collate(batch, padding),
            callbacks=[reporter],
        )
        _remove_printing(trainer)
        trainer.train()
    seconds = time.monotonic() - clock
    files = subject.save(run, {GENERATION_CONFIG: generation}, progress)
    return TrainingRecord(
        upstream=run.digests("config", "pins.json", "data.json"),
        method=settings.method,
        precision=precision,
        target_modules=subject.layers,
        trainable_parameters=trainable,
        total_parameters=total,
        epochs=settings.epochs,
        steps=trainer.state.global_step,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        optimizer=str(trainer.args.optim.value),
        schedule=str(trainer.args.lr_scheduler_type.value),
        warmup_steps=trainer.args.get_warmup_steps(steps),
        weight_decay=trainer.args.weight_decay,
        max_grad_norm=trainer.args.max_grad_norm,
        seed=settings.seed,
        tokens=round(sum(example.learnt for example in examples) * settings.epochs),
        first_loss=reporter.losses[0].loss,
        final_loss=reporter.losses[-1].loss,
        losses=reporter.losses,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        files=files,
        environment=environment(),
    )


def _arguments(settings: TrainConfig, steps: int, scratch: str) -> "TrainingArguments":
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=settings.epochs,
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        # A short warm-up and a linear fall to zero are what LoRA's own experiments used.
        warmup_steps=0.05,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        logging_steps=max(1, min(10, steps // _LOGS)),
        logging_first_step=True,
        # Else transformers puts the mean of earlier losses in place of one that is not a number.
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=not torch.cuda.is_available(),
    )


def _remove_printing(trainer: "object") -> None:
    # Without tqdm, transformers prints each log as a dict on stdout, which belongs to the command's result.
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # type: ignore[attr-defined]
