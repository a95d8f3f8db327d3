"""What the adapter was trained on, and how."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.card.numbers import duration, measure, moment, percent, plain, thousands
from hubtune.card.sections.names import method_name, precision_name
from hubtune.card.sections.screening import Repeats, repeats
from hubtune.records.data import SourceRecord
from hubtune.records.training import Finding, TrainingRecord

LOSS_PICTURE = "images/loss.png"
"""Where the loss curve stands in the repository."""
_FEWEST_POINTS = 2


# How a row became text, where no template of the config wrote it, and what of it carried loss.
_WRITING = {
    "prompt_completion": "Each row is a prompt and a completion.",
    "instruction": "Each row is an instruction, with an input where it has one, in Alpaca's words, and a response.",
    "chat": "Each row is a conversation, written by the model's chat template.",
    "classification": "Each row is a text and its label.",
}
_LOSS = {"completion": "Only the response carried loss.", "assistant": "Only what the assistant says carried loss."}


@dataclass(frozen=True)
class Dropped:
    """Rows that were left out for one reason."""

    reason: str
    rows: int


@dataclass(frozen=True)
class DataSet:
    """One data set as it was read."""

    repo: str
    configuration: str | None
    split: str
    rows: int
    kept: int
    template: str | None
    writing: str | None
    loss: str | None
    dropped: list[Dropped]


@dataclass(frozen=True)
class TrainingData:
    """Context of `sections/training_data.md.j2`."""

    sets: list[DataSet]
    train_rows: int
    train_tokens: int
    train_truncated: int
    held_out_rows: int
    held_out_tokens: int
    held_out_truncated: int
    held_out_asked: float
    not_measured: int
    max_length: int
    split_method: str
    repeats: Repeats | None


@dataclass(frozen=True)
class Setting:
    """A row of the table of settings."""

    name: str
    value: str


@dataclass(frozen=True)
class TrainingProcedure:
    """Context of `sections/training_procedure.md.j2`."""

    method: str
    settings: list[Setting]
    curve: Markdown | None
    first_loss: float
    final_loss: float
    outcome: list[Setting]
    target_modules: list[str]
    findings: list[Finding]
    best_step: int | None


def training_data(inputs: CardInputs) -> TrainingData:
    """Builds the context of the section on data."""
    data, config = inputs.data, inputs.config
    return TrainingData(
        sets=[
            DataSet(
                repo=source.label,
                configuration=source.name,
                split=source.split,
                rows=source.rows,
                kept=source.kept,
                template=_template(source),
                writing=_WRITING.get(source.format),
                loss=_LOSS.get(source.loss_on),
                dropped=[Dropped(reason, rows) for reason, rows in source.dropped.items() if rows],
            )
            for source in data.sources
        ],
        train_rows=data.train.rows,
        train_tokens=data.train.tokens,
        train_truncated=data.train.truncated,
        held_out_rows=data.held_out.rows,
        held_out_tokens=data.held_out.tokens,
        held_out_truncated=data.held_out.truncated,
        held_out_asked=config.evaluate.holdout,
        not_measured=data.held_out.left_out,
        max_length=data.max_length,
        split_method=data.split_method,
        repeats=None if data.screen is None else repeats(data.screen),
    )


def _template(source: SourceRecord) -> str | None:
    return "{" + source.columns["text"] + "}" if source.format == "text" and source.columns else source.template


def has_loss_curve(training: TrainingRecord) -> bool:
    """Whether there are points enough to draw a line."""
    return len(training.losses) >= _FEWEST_POINTS


def training_procedure(inputs: CardInputs) -> TrainingProcedure:
    """Builds the context of the section on training."""
    training, train = inputs.training, inputs.config.train
    share = training.trainable_parameters / training.total_parameters
    return TrainingProcedure(
        method=method_name(training.method),
        settings=[
            Setting("Rank (r)", thousands(train.lora.r)),
            Setting("Alpha", plain(train.lora.alpha)),
            Setting("Dropout", plain(train.lora.dropout)),
            Setting("Learning rate", plain(training.learning_rate)),
            Setting("Epochs", plain(training.epochs)),
            Setting("Batch size", thousands(training.batch_size)),
            *(
                [Setting("Micro-batches in a step", thousands(training.gradient_accumulation))]
                if training.gradient_accumulation > 1
                else []
            ),
            Setting("Optimiser", training.optimizer),
            Setting(
                "Learning rate schedule",
                f"{training.schedule}, after {thousands(training.warmup_steps)} steps of warm-up",
            ),
            Setting("Weight decay", plain(training.weight_decay)),
            Setting("Gradient clipping", f"to a norm of {plain(training.max_grad_norm)}"),
            Setting("Longest row", f"{thousands(inputs.data.max_length)} tokens"),
            Setting("Precision of the base weights", precision_name(training.precision)),
            Setting("Precision of the adapter weights", "float32"),
            Setting("Seed", str(training.seed)),
        ],
        curve=Markdown(LOSS_PICTURE) if has_loss_curve(training) else None,
        first_loss=training.first_loss,
        final_loss=training.final_loss,
        outcome=[
            Setting("Optimiser steps", thousands(training.steps)),
            Setting("Trained parameters", f"{thousands(training.trainable_parameters)} ({percent(share)} of all)"),
            Setting("All parameters", thousands(training.total_parameters)),
            Setting("Tokens that carried loss", thousands(training.tokens)),
            Setting("Loss at the start", f"{measure(training.first_loss)} nats per token"),
            Setting("Loss at the end", f"{measure(training.final_loss)} nats per token"),
            *(
                [Setting("Held-out loss at the end", f"{measure(training.held_out_losses[-1].loss)} nats per token")]
                if training.held_out_losses
                else []
            ),
            Setting("Started", moment(training.started)),
            Setting("Time", duration(training.seconds)),
            Setting("Device", training.environment.device),
        ],
        target_modules=training.target_modules,
        findings=training.findings,
        best_step=training.best_step,
    )
