"""The train stage: fine-tunes the pinned base model on the prepared examples and saves what was trained."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.models.environment import environment
from hubtune.models.load import check_vocabulary, load_base, pad_id
from hubtune.models.precision import choose_precision
from hubtune.records.pins import Pin
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

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
) -> TrainingRecord:
    """Trains, and puts the adapter into the run directory, complete or not at all.

    Returns:
        The training record; its upstream digests are those of the run directory now.

    Raises:
        ModelError: The base model cannot be loaded.
        TrainingError: The layers do not exist, or the run diverged.
        DiskFullError: There is no room for the adapter.
    """
    from hubtune.train import optimizer
    from hubtune.train.building import build_loop, packs, warmup_steps
    from hubtune.train.loop import LoopState
    from hubtune.train.lora import tune_with_lora
    from hubtune.train.randomness import seed_everything
    from hubtune.train.reporting import Reporter

    settings = config.train
    precision = choose_precision(settings.precision)
    seed_everything(settings.seed)
    base = load_base(base_folder, base_pin.repo, precision)
    check_vocabulary(base, tokenizer, base_pin.repo)
    packed = packs(settings, base, progress)
    tunable = tune_with_lora(run, settings.lora, base, base_pin, base_folder, tokenizer)
    progress.say(f"{tunable.title} in {precision}: {tunable.summary}")
    loop = build_loop(settings, tunable, examples, pad_id(tokenizer), packed, precision, progress)
    started, state = datetime.now(UTC), LoopState.start(tunable.model.device)
    with progress.task("Training", loop.order.steps) as task:
        loop.run(state, Reporter(run, task, loop.order.per_epoch))
    return TrainingRecord(
        upstream=run.digests("config", "pins.json", "data.json"),
        method=tunable.method,
        precision=precision,
        target_modules=tunable.target_modules,
        trainable_parameters=tunable.trained,
        total_parameters=tunable.parameters,
        epochs=settings.epochs,
        steps=state.step,
        batch_size=settings.batch_size,
        gradient_accumulation=settings.gradient_accumulation,
        packing=packed,
        learning_rate=settings.learning_rate,
        optimizer=optimizer.NAME,
        schedule=settings.schedule,
        warmup_steps=warmup_steps(settings, loop.order.steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        tokens=state.labels,
        read_tokens=state.tokens,
        first_loss=state.losses[0].loss,
        final_loss=state.losses[-1].loss,
        losses=state.losses,
        held_out_losses=state.held_out,
        started=started.isoformat(timespec="seconds"),
        seconds=round(state.seconds, 1),
        files=tunable.save(),
        environment=environment(),
    )
