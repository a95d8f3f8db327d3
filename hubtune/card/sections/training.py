"""Training: the training data, the settings and the outcome."""

import hashlib
from dataclasses import dataclass

from hubtune.card import wording
from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.card.sections.screening import Repeats, repeats
from hubtune.config.sweep import HELD_OUT_LOSS, SweptConfig
from hubtune.config.training import LoraConfig
from hubtune.records.data import SourceRecord
from hubtune.records.results import TrackerRun, TrainingFinding, TrainingRecord

LOSS_PICTURE = "images/loss.png"
"""Where the loss curve is in the repository."""
_FEWEST_POINTS = 2
_SHOWN_TOKENS = 20


# How a row is formatted without a template in the config, and which of its tokens are target tokens.
_WRITING = {
    "prompt_completion": "Each row is a prompt and a completion.",
    "instruction": "Each row is an instruction with a response, and with an input if it has one, in the Alpaca format.",
    "chat": "Each row is a conversation, formatted with the chat template of the base model.",
    "classification": "Each row is a text and its label.",
}
_STOPS = {
    "first_exhausted": "until the first dataset was exhausted, so no row is repeated",
    "all_exhausted": "until every dataset was exhausted, so rows of the smaller datasets are repeated",
}
_SHORT_DIGEST = 12
_LOSS = {
    "completion": "Only the tokens of the response are target tokens.",
    "assistant": "Only the tokens of the assistant's messages are target tokens.",
}


@dataclass(frozen=True)
class Dropped:
    """Rows that were dropped for one reason."""

    reason: str
    rows: int


@dataclass(frozen=True)
class ClassRows:
    """A class, and how many rows of each part have it."""

    name: str
    train: int
    held_out: int


@dataclass(frozen=True)
class DataSet:
    """One dataset as it was read.

    Attributes:
        file_digest: Of a local file, the start of its sha256.
        chat_template: Where the config gave the chat template, the start of its sha256.
        held_out_split: The split whose rows are held out; None if rows of `split` were drawn.
        group_by: The column whose values are held out together.
        weight: Its weight, if rows were drawn from several datasets by weight.
        trained: Rows of it that were drawn to train on, those that came again counted again.
    """

    repo: str
    file_digest: str | None
    configuration: str | None
    split: str
    rows: int
    kept: int
    template: str | None
    writing: str | None
    chat_template: str | None
    loss: str | None
    dropped: list[Dropped]
    held_out_split: str | None
    group_by: str | None
    weight: float | None
    trained: int | None


@dataclass(frozen=True)
class Mix:
    """How rows were drawn from several datasets."""

    stop: str
    seed: int


@dataclass(frozen=True)
class Validation:
    """The rows on which the held-out loss was measured during training, and the share that the run asked for."""

    rows: int
    tokens: int
    truncated: int
    asked: float


@dataclass(frozen=True)
class TrainingData:
    """Context of `sections/training_data.md.j2`.

    Attributes:
        mix: None if one dataset follows the other.
        held_out_asked: The share of rows that the run asked for; None if every dataset has a held-out split.
        validation: None if the held-out rows were measured during training.
    """

    sets: list[DataSet]
    mix: Mix | None
    train_rows: int
    train_tokens: int
    train_truncated: int
    held_out_rows: int
    held_out_tokens: int
    held_out_truncated: int
    held_out_asked: float | None
    not_measured: int
    max_length: int
    split_method: str
    repeats: Repeats | None
    classes: list[ClassRows]
    validation: Validation | None


@dataclass(frozen=True)
class Setting:
    """A row of the table of settings."""

    name: str
    value: str


@dataclass(frozen=True)
class Sweep:
    """The sweep that chose some of the settings.

    Attributes:
        trials: How many trials were complete.
        unfinished: How many failed, and how many were stopped early.
        sampler: How values were chosen, in words.
        metric: What ranked the trials.
        value: The metric of this configuration's trial.
        validated: Whether the metric was measured on validation rows, which are not part of the evaluation.
        study: The start of the study's sha256.
    """

    trials: int
    unfinished: tuple[int, int]
    sampler: str
    metric: str
    direction: str
    rank: int
    value: float
    validated: bool
    study: str
    fields: list[SweptConfig]


@dataclass(frozen=True)
class TrainingProcedure:
    """Context of `sections/training_procedure.md.j2`.

    Attributes:
        validated: Whether the held-out loss during training is that of validation rows.
        sweep: None if no sweep chose the settings.
    """

    method: str
    settings: list[Setting]
    curve: Markdown | None
    first_loss: float
    final_loss: float
    outcome: list[Setting]
    target_modules: list[str]
    whole: bool
    findings: list[TrainingFinding]
    best_step: int | None
    validated: bool
    sweep: Sweep | None


_SAMPLERS = {"grid": "a grid of values", "random": "random values", "tpe": "a tree-structured Parzen estimator"}


def _losses(validated: bool) -> str:
    return "validation loss" if validated else "held-out loss"


def sweep(inputs: CardInputs) -> Sweep | None:
    """Returns the sweep that chose some of the settings; None if none did."""
    origin = inputs.config.sweep
    if origin is None:
        return None
    validated = origin.rows == "validation"
    return Sweep(
        trials=origin.trials,
        unfinished=(origin.failed, origin.pruned),
        sampler=_SAMPLERS[origin.sampler],
        metric=_losses(validated) if origin.metric == HELD_OUT_LOSS else wording.measure_name(origin.metric),
        direction="lower" if origin.direction == "minimize" else "higher",
        rank=origin.rank,
        value=origin.value,
        validated=validated,
        study=origin.study[:_SHORT_DIGEST],
        fields=origin.fields,
    )


def training_data(inputs: CardInputs) -> TrainingData:
    """Builds the context of the section on data."""
    data, config = inputs.data, inputs.config
    drawn = any(source.held_out_split is None for source in data.sources)
    return TrainingData(
        sets=[_data_set(inputs, number) for number in range(len(data.sources))],
        mix=None if data.mix is None else Mix(_STOPS[data.mix.stop], data.mix.seed),
        train_rows=data.train.rows,
        train_tokens=data.train.tokens,
        train_truncated=data.train.truncated,
        held_out_rows=data.held_out.rows,
        held_out_tokens=data.held_out.tokens,
        held_out_truncated=data.held_out.truncated,
        held_out_asked=config.evaluate.holdout if drawn else None,
        not_measured=data.held_out.left_out,
        max_length=data.max_length,
        split_method=wording.recorded(", or by ".join(data.split_method.split("; "))),
        repeats=None if data.screen is None else repeats(data.screen),
        classes=[
            ClassRows(name, data.train.classes.get(name, 0), data.held_out.classes.get(name, 0))
            for name in data.labels or []
        ],
        validation=_validation(inputs),
    )


def _validation(inputs: CardInputs) -> Validation | None:
    part, asked = inputs.data.validation, inputs.config.evaluate.validation
    return None if part is None or asked is None else Validation(part.rows, part.tokens, part.truncated, asked)


def _data_set(inputs: CardInputs, number: int) -> DataSet:
    source, mix = inputs.data.sources[number], inputs.data.mix
    given = inputs.config.chat_template if source.format == "chat" else None
    return DataSet(
        repo=source.label,
        file_digest=None if source.sha256 is None else source.sha256[:_SHORT_DIGEST],
        configuration=source.name,
        split=source.split,
        rows=source.rows,
        kept=source.kept,
        template=_template(source),
        writing=_WRITING.get(source.format),
        # The template that wrote the rows may hold a fixed date besides; what is published is the one given.
        chat_template=None if given is None else hashlib.sha256(given.encode()).hexdigest()[:_SHORT_DIGEST],
        loss=_LOSS.get(source.loss_on),
        dropped=[Dropped(reason, rows) for reason, rows in source.dropped.items() if rows],
        held_out_split=source.held_out_split,
        group_by=source.group_by,
        weight=None if mix is None else mix.weights[number],
        trained=source.trained,
    )


def _template(source: SourceRecord) -> str | None:
    return "{" + source.columns["text"] + "}" if source.format == "text" and source.columns else source.template


def has_loss_curve(training: TrainingRecord) -> bool:
    """Whether there are points enough to draw a line."""
    return len(training.losses) >= _FEWEST_POINTS


def training_procedure(inputs: CardInputs) -> TrainingProcedure:
    """Builds the context of the section on training."""
    training, train = inputs.training, inputs.config.train
    classifier, validated = inputs.data.labels is not None, inputs.data.validation is not None
    unit = "nats per label" if classifier else "nats per token"
    share = training.trainable_parameters / training.total_parameters
    return TrainingProcedure(
        method=wording.method_name(training.method),
        settings=[
            *([] if training.whole else _adapter_settings(train.lora)),
            *_continued(inputs),
            Setting("Learning rate", wording.plain(training.learning_rate)),
            Setting("Epochs", wording.plain(training.epochs)),
            Setting("Batch size", wording.thousands(training.batch_size)),
            *(
                [Setting("Gradient accumulation steps", wording.thousands(training.gradient_accumulation))]
                if training.gradient_accumulation > 1
                else []
            ),
            *_processes(training),
            Setting("Optimizer", training.optimizer),
            Setting(
                "Learning rate schedule",
                f"{training.schedule}, with {wording.counted(training.warmup_steps, 'warmup step')}",
            ),
            Setting("Weight decay", wording.plain(training.weight_decay)),
            Setting("Gradient clipping", f"maximum norm {wording.plain(training.max_grad_norm)}"),
            Setting("Maximum length", f"{wording.thousands(inputs.data.max_length)} tokens"),
            Setting(
                f"Precision of the {'computation' if training.whole else 'base weights'}",
                wording.precision_name(training.precision),
            ),
            Setting(f"Precision of the {'trained' if training.whole else 'adapter'} weights", "float32"),
            *([Setting("Added tokens", _shown(training.added_tokens))] if training.added_tokens else []),
            Setting("Seed", str(training.seed)),
        ],
        curve=Markdown(LOSS_PICTURE) if has_loss_curve(training) else None,
        first_loss=training.first_loss,
        final_loss=training.final_loss,
        outcome=[
            Setting("Optimizer steps", wording.thousands(training.steps)),
            Setting(
                "Trainable parameters",
                f"{wording.thousands(training.trainable_parameters)} ({wording.percent(share)} of total)",
            ),
            Setting("Total parameters", wording.thousands(training.total_parameters)),
            Setting(
                "Labels trained on" if classifier else "Target tokens, all epochs", wording.thousands(training.tokens)
            ),
            Setting("Initial training loss", f"{wording.measure(training.first_loss)} {unit}"),
            Setting("Final training loss", f"{wording.measure(training.final_loss)} {unit}"),
            *(
                [Setting(f"Final {_losses(validated)}", f"{wording.measure(training.held_out_losses[-1].loss)} {unit}")]
                if training.held_out_losses
                else []
            ),
            Setting("Started", wording.moment(training.started)),
            Setting("Duration", wording.duration(training.seconds)),
            Setting("Device", training.environment.device),
            *(_tracked(tracker) for tracker in training.trackers),
        ],
        target_modules=training.target_modules,
        whole=training.whole,
        findings=training.findings,
        best_step=training.best_step,
        validated=validated,
        sweep=sweep(inputs),
    )


def _tracked(tracker: TrackerRun) -> Setting:
    place = "in its own store" if tracker.address is None else tracker.address
    inside = "" if tracker.address is None or tracker.url is not None else " in the run directory"
    failed = " (not everything was reported)" if tracker.failed is not None else ""
    return Setting(
        f"Run in {wording.tracker_name(tracker.tracker)}",
        f"{tracker.run} of project {tracker.project}, {place}{inside}{failed}",
    )


def _shown(tokens: list[str]) -> str:
    more = len(tokens) - _SHOWN_TOKENS
    return ", ".join(tokens[:_SHOWN_TOKENS]) + (f" and {wording.thousands(more)} more" if more > 0 else "")


def _continued(inputs: CardInputs) -> list[Setting]:
    pin = inputs.pins.adapter
    return [] if pin is None else [Setting("Initial adapter", f"{pin.repo} at commit {pin.commit}")]


def _processes(training: TrainingRecord) -> list[Setting]:
    """Returns how the batches were split over processes, if a launcher started some."""
    processes = training.processes
    if processes is None:
        return []
    by = [processes.sharding or ("data parallel" if processes.count > 1 else None), processes.backend]
    how = ", ".join(name for name in by if name is not None)
    return [
        Setting("Processes", wording.thousands(processes.count) + (f" ({how})" if how else "")),
        Setting("Micro-batch size of each process", wording.thousands(processes.batch_size)),
    ]


def _adapter_settings(lora: LoraConfig) -> list[Setting]:
    return [
        Setting("Rank (r)", wording.thousands(lora.r)),
        Setting("Alpha", wording.plain(lora.alpha)),
        Setting("Dropout", wording.plain(lora.dropout)),
        *([Setting("Scaling", "alpha / √r (rsLoRA)")] if lora.rslora else []),
        *([Setting("Fully trained layers", ", ".join(lora.modules_to_save))] if lora.modules_to_save else []),
    ]
