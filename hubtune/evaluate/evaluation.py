"""The evaluate stage: the base model and the tuned one on the same held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.bench import Sides
from hubtune.evaluate.earlier import Earlier
from hubtune.evaluate.measured import Models, measure_models
from hubtune.evaluate.registry import find_metrics
from hubtune.evaluate.sides import open_sides
from hubtune.models.classifier import Classes
from hubtune.models.environment import environment
from hubtune.models.generation import safe_generation_config, stop_tokens_beside
from hubtune.models.load import context_length
from hubtune.models.probe import TOLERANCES, replay, take_probe
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.probe import ProbeRecord
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


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
