"""The evaluate stage: the base model and the tuned one on the same held-out rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.bench import Sides
from hubtune.evaluate.measurement import Earlier, Models, find_metrics, measure_models
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import enlarge
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.generation import safe_generation_config, stop_tokens_beside
from hubtune.models.memory import environment
from hubtune.models.pretrained import context_length, load_base, pad_id
from hubtune.models.probe import TOLERANCES, replay, take_probe
from hubtune.models.release_model import load_release, load_release_model
from hubtune.records.base import Progress
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord, Measure, ProbeRecord
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


OF_RUN = "of this run"
"""What follows "the adapter" in messages about the adapter that a run made."""

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def open_sides(
    run: RunDirectory, training: TrainingRecord, base_folder: Path, name: str, classes: Classes | None = None
) -> Sides:
    """Loads the base model and what the run made of it, in the precision of the training.

    A classifier has no base to compare with: the head that the base lacks would be random.

    Args:
        run: A run with what was trained.
        training: Its record.
        base_folder: The base model's snapshot.
        name: The base model's id, for messages.
        classes: What a classifier tells apart; None for a model that writes text.

    Raises:
        ModelError: One of them cannot be loaded.
    """
    if classes is not None:
        classifier = _open_classifier(run, training, base_folder, name, classes)
        return {"tuned": lambda: nullcontext(classifier)}
    base = load_base(base_folder, name, training.precision)
    if training.vocabulary is not None:
        enlarge(base, training.vocabulary)
    if training.whole:
        tuned = load_base(run.model_dir, "the tuned model", training.precision)
        return {"base": lambda: nullcontext(base), "tuned": lambda: nullcontext(tuned)}
    return adapter_sides(load_adapter(base, run.adapter_dir, OF_RUN))


def adapter_sides(model: "PeftModel") -> Sides:
    """Returns both sides of an adapted model: the base through the same weights, the adapter off."""
    return {"base": lambda: without_adapter(model), "tuned": lambda: nullcontext(model)}


def _open_classifier(
    run: RunDirectory, training: TrainingRecord, base_folder: Path, name: str, classes: Classes
) -> "PreTrainedModel":
    if training.whole:
        return load_classifier(run.model_dir, "the tuned model", training.precision, classes)[0]
    base, _ = load_classifier(base_folder, name, training.precision, classes)
    if training.vocabulary is not None:
        enlarge(base, training.vocabulary)
    return load_adapter(base, run.adapter_dir, OF_RUN)


@contextmanager
def without_adapter(model: "PeftModel") -> Iterator["PeftModel"]:
    """Opens the base model: the same weights with the adapter off."""
    with model.disable_adapter():
        yield model


@dataclass(frozen=True)
class Evaluated:
    """What the evaluate stage found: the measures, and what the tuned model says to fixed prompts."""

    evaluation: EvaluationRecord
    probe: ProbeRecord


def evaluate(
    run: RunDirectory,
    config: TuneConfig,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    training: TrainingRecord,
    train: Sequence[Example],
    held_out: Sequence[Example],
    progress: Progress,
    classes: Classes | None = None,
    earlier: Sequence[Example] | None = None,
) -> Evaluated:
    """Measures both models in the precision of the training; the base through the same weights, the adapter off.

    A metric that raises is recorded as failed, and the others are measured all the same. A classifier, for which
    `classes` says what it tells apart, is measured alone, since its base has no head to classify with. Held-out rows of
    an `earlier` task are measured besides.

    Returns:
        The records; their upstream digests are those of the run directory now.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
        ModelError: The base model or the adapter cannot be loaded.
    """
    from transformers import GenerationConfig

    # Before minutes are spent on loading.
    find_metrics(config.evaluate.metrics)
    sides = open_sides(run, training, base_folder, config.base.repo, classes)
    context = context_length(base_folder, config.base.repo)
    models = Models(
        sides=sides,
        tokenizer=tokenizer,
        generation=GenerationConfig() if classes else _settings(run, config, base_folder, tokenizer, training),
        context=context,
        precision=training.precision,
        classes=classes,
    )

    def tell(measure: Measure) -> None:
        run.event("evaluate", event="measure", name=measure.name, base=measure.base, tuned=measure.tuned, n=measure.n)

    upstream = run.digests("config", "evaluate", "data.json", "training.json")
    data = run.read(DataRecord) if run.has(DataRecord) else None
    before = None if earlier is None else Earlier(earlier, training.earlier)
    evaluation = measure_models(models, config, train, held_out, upstream, progress, data, tell, before)
    return Evaluated(evaluation, _probe(run, sides, tokenizer, training.precision, context))


def _settings(
    run: RunDirectory,
    config: TuneConfig,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    training: TrainingRecord,
) -> "GenerationConfig":
    ends = stop_tokens_beside(run.trained_dir(training))
    return safe_generation_config(base_folder, tokenizer, config.base.repo, template=config.chat_template, ends=ends)


def _probe(
    run: RunDirectory,
    sides: Sides,
    tokenizer: "PreTrainedTokenizerBase",
    precision: str,
    context: int | None,
) -> ProbeRecord:
    with sides["tuned"]() as tuned:
        prompts = take_probe(tuned, tokenizer, context)
    difference = None
    if "base" in sides:
        with sides["base"]() as base:
            difference = replay(base, prompts).difference
    return ProbeRecord(
        upstream=run.digests("training.json"),
        precision=precision,
        tolerance=TOLERANCES[precision],
        difference=None if difference is None else round(difference, 5),
        prompts=prompts,
        environment=environment(),
    )


def evaluate_release(
    name: str,
    folder: Path,
    base_folder: Path | None,
    tokenizer: "PreTrainedTokenizerBase",
    precision: str,
    config: TuneConfig,
    train: Sequence[Example],
    held_out: Sequence[Example],
    progress: Progress,
    *,
    adapter: bool,
    data: DataRecord | None,
    labels: tuple[Sequence[str], bool] | None = None,
    earlier: Sequence[Example] | None = None,
) -> EvaluationRecord:
    """Measures a release, against its base where there is one that can do the same: a classifier's lacks a head.

    Args:
        name: The release's repository, for messages.
        folder: Its snapshot.
        base_folder: The snapshot of its base; None where that of a whole model is not known.
        tokenizer: The release's.
        precision: What the weights are held in.
        config: Says how to measure.
        train: The rows that the release was trained on.
        held_out: Those that it was not.
        progress: Told of each step.
        adapter: Whether it is an adapter, and not a whole model.
        data: What is recorded of the data; None where it is not that of the release's training.
        labels: Of a classifier, the names of its classes and whether a text may be of several.
        earlier: Held-out rows of an earlier task; None where there is none.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
        ModelError: The release or its base cannot be loaded.
    """
    find_metrics(config.evaluate.metrics)
    with progress.task(f"Loading {name}", 1) as task:
        models = _load(name, folder, base_folder, tokenizer, precision, adapter=adapter, labels=labels)
        task.advance()
    before = None if earlier is None else Earlier(earlier)
    return measure_models(models, config, train, held_out, {}, progress, data, earlier=before)


def _load(
    name: str,
    folder: Path,
    base_folder: Path | None,
    tokenizer: "PreTrainedTokenizerBase",
    precision: str,
    *,
    adapter: bool,
    labels: tuple[Sequence[str], bool] | None,
) -> Models:
    """Loads a release and, where it can do the same, its base; the arguments are those of `evaluate_release`."""
    from transformers import GenerationConfig

    weights = base_folder if adapter else None
    if labels is not None:
        classifier, _ = load_release(folder, weights, precision, name, labels)
        classes = Classes(tuple(labels[0]), labels[1], pad_id(tokenizer))
        sides: Sides = {"tuned": lambda: nullcontext(classifier)}
        generation = GenerationConfig()
    else:
        tuned = load_release_model(folder, weights, precision, name, tokenizer)
        classes, sides = None, {"tuned": lambda: nullcontext(tuned)}
        if adapter:
            sides = adapter_sides(tuned)
        elif base_folder is not None:
            base = load_base(base_folder, f"the base model of {name}", precision)
            sides = {"base": lambda: nullcontext(base), **sides}
        generation = safe_generation_config(weights or folder, tokenizer, name, ends=stop_tokens_beside(folder))
    return Models(
        sides=sides,
        tokenizer=tokenizer,
        generation=generation,
        context=context_length(weights or folder, name),
        precision=precision,
        classes=classes,
    )
