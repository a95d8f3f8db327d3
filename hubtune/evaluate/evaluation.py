"""The evaluate stage: the base and the tuned model on the same held-out rows, of a run or of a release."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.evaluate.bench import Sides
from hubtune.evaluate.measurement import MeasuredRows, Models, find_metrics, measure_models
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import enlarge
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.generation import safe_generation_config, stop_tokens_beside
from hubtune.models.memory import environment
from hubtune.models.pretrained import PinnedBase, context_length, load_base, pad_id
from hubtune.models.release_model import TOLERANCES, load_release, load_release_model, replay, take_probe
from hubtune.records.base import Progress
from hubtune.records.results import EvaluationRecord, Measure, ProbeRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


OF_RUN = "of this run"
"""What follows "the adapter" in messages about the adapter that a run made."""


@dataclass(frozen=True)
class EvaluationJob:
    """What to measure of a run, and on which rows.

    Attributes:
        run: The run directory, which says how to measure, and holds what was trained.
        base: The base model.
        training: The record of the training.
        rows: What to measure on.
        progress: Reports each step.
        classes: What a classifier distinguishes; None for a model that writes text.
    """

    run: RunDirectory
    base: PinnedBase
    training: TrainingRecord
    rows: MeasuredRows
    progress: Progress
    classes: Classes | None = None

    @property
    def config(self) -> TuneConfig:
        """The run's config."""
        return self.run.config()

    @property
    def generation(self) -> "GenerationConfig":
        """The generation settings: those with which the release is published."""
        base = self.base
        ends = stop_tokens_beside(self.run.trained_dir(self.training))
        return safe_generation_config(
            base.folder, base.tokenizer, base.name, template=self.config.chat_template, ends=ends
        )


def open_sides(job: EvaluationJob) -> Sides:
    """Loads the base and the tuned model, in the precision of the training.

    A classifier has no base to compare with: the head that the base lacks would be random.

    Raises:
        ModelError: One of them cannot be loaded.
    """
    run, training = job.run, job.training
    if job.classes is not None:
        classifier = _open_classifier(job, job.classes)
        return {"tuned": lambda: nullcontext(classifier)}
    base = load_base(job.base.folder, job.base.name, training.precision)
    if training.vocabulary is not None:
        enlarge(base, training.vocabulary)
    if training.whole:
        tuned = load_base(run.model_dir, "the tuned model", training.precision)
        return {"base": lambda: nullcontext(base), "tuned": lambda: nullcontext(tuned)}
    return adapter_sides(load_adapter(base, run.adapter_dir, OF_RUN))


def adapter_sides(model: "PeftModel") -> Sides:
    """Returns both sides of a model with an adapter: the base model is the same weights with the adapter off."""
    return {"base": lambda: without_adapter(model), "tuned": lambda: nullcontext(model)}


def _open_classifier(job: EvaluationJob, classes: Classes) -> "PreTrainedModel":
    run, training = job.run, job.training
    if training.whole:
        return load_classifier(run.model_dir, "the tuned model", training.precision, classes)[0]
    base, _ = load_classifier(job.base.folder, job.base.name, training.precision, classes)
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
    """The result of the evaluate stage: the measures, and the tuned model's answers to fixed prompts."""

    evaluation: EvaluationRecord
    probe: ProbeRecord


def evaluate(job: EvaluationJob, *, quiet: bool = False) -> Evaluated:
    """Measures both models in the precision of the training; the base model is the same weights with the adapter off.

    A metric that raises is recorded as failed, and the others are measured all the same. A classifier is measured
    alone, since its base has no head to classify with.

    Args:
        job: What to measure.
        quiet: Whether the run's events leave the measures out, as in all processes but one of several.

    Returns:
        The records; their upstream digests are those of the run directory now.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
        ModelError: The base model or the adapter cannot be loaded.
    """
    from transformers import GenerationConfig

    run, config, base = job.run, job.config, job.base
    # Before minutes are spent on loading.
    find_metrics(config.evaluate.metrics)
    sides = open_sides(job)
    models = Models(
        sides=sides,
        tokenizer=base.tokenizer,
        generation=GenerationConfig() if job.classes else job.generation,
        context=base.context_length,
        precision=job.training.precision,
        classes=job.classes,
    )

    def tell(measure: Measure) -> None:
        if not quiet:
            run.event(
                "evaluate", event="measure", name=measure.name, base=measure.base, tuned=measure.tuned, n=measure.n
            )

    upstream = run.digests("config", "evaluate", "data.json", "training.json")
    evaluation = measure_models(models, job.rows, config, job.progress, tell)
    return Evaluated(evaluation.model_copy(update={"upstream": upstream}), _probe(job, sides))


def _probe(job: EvaluationJob, sides: Sides) -> ProbeRecord:
    precision = job.training.precision
    with sides["tuned"]() as tuned:
        prompts = take_probe(tuned, job.base.tokenizer, job.base.context_length)
    difference = None
    if "base" in sides:
        with sides["base"]() as base:
            difference = replay(base, prompts).difference
    return ProbeRecord(
        upstream=job.run.digests("training.json"),
        precision=precision,
        tolerance=TOLERANCES[precision],
        difference=None if difference is None else round(difference, 5),
        prompts=prompts,
        environment=environment(),
    )


@dataclass(frozen=True)
class ReleaseOnDisk:
    """A release that was fetched.

    Attributes:
        name: Its repository and commit, for messages.
        folder: Its snapshot.
        base_folder: The snapshot of its base; None if that of a whole model is not known.
        adapter: Whether it is an adapter, and not a whole model.
        tokenizer: Its tokenizer.
        precision: What the weights are held in.
        labels: Of a classifier, the names of its classes and whether a text may be of several.
    """

    name: str
    folder: Path
    base_folder: Path | None
    adapter: bool
    tokenizer: "PreTrainedTokenizerBase"
    precision: str
    labels: tuple[Sequence[str], bool] | None = None

    @property
    def adapted(self) -> Path | None:
        """The snapshot of the adapter's base model; None for a complete model."""
        return self.base_folder if self.adapter else None

    @property
    def _weights(self) -> Path:
        return self.adapted or self.folder

    def load(self) -> Models:
        """Loads the release and its base model, if there is one that can do the same.

        Raises:
            ModelError: One of them cannot be loaded.
        """
        return self._load_writer() if self.labels is None else self._load_classifier(self.labels)

    def _load_classifier(self, labels: tuple[Sequence[str], bool]) -> Models:
        from transformers import GenerationConfig

        classifier, _ = load_release(self.folder, self.adapted, self.precision, self.name, labels)
        classes = Classes(tuple(labels[0]), labels[1], pad_id(self.tokenizer))
        return self._models({"tuned": lambda: nullcontext(classifier)}, GenerationConfig(), classes)

    def _load_writer(self) -> Models:
        tuned = load_release_model(self.folder, self.adapted, self.precision, self.name, self.tokenizer)
        sides: Sides = {"tuned": lambda: nullcontext(tuned)}
        if self.adapter:
            sides = adapter_sides(tuned)
        elif self.base_folder is not None:
            base = load_base(self.base_folder, f"the base model of {self.name}", self.precision)
            sides = {"base": lambda: nullcontext(base), **sides}
        ends = stop_tokens_beside(self.folder)
        return self._models(sides, safe_generation_config(self._weights, self.tokenizer, self.name, ends=ends))

    def _models(self, sides: Sides, generation: "GenerationConfig", classes: Classes | None = None) -> Models:
        context = context_length(self._weights, self.name)
        return Models(sides, self.tokenizer, generation, context, self.precision, classes)


def evaluate_release(
    release: ReleaseOnDisk, rows: MeasuredRows, config: TuneConfig, progress: Progress
) -> EvaluationRecord:
    """Evaluates a release and its base model, if there is one that can do the same: that of a classifier has no head.

    Args:
        release: What to measure.
        rows: What to measure it on.
        config: Says how to measure.
        progress: Reports each step.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
        ModelError: The release or its base cannot be loaded.
    """
    find_metrics(config.evaluate.metrics)
    with progress.task(f"Loading {release.name}", 1) as task:
        models = release.load()
        task.advance()
    return measure_models(models, rows, config, progress)
