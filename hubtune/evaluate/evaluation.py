"""The evaluate stage: the base model and the tuned one on the same held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.metrics import CLASSIFICATION, DEFAULT
from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.bench import Bench, Sides
from hubtune.evaluate.classifying import classify_rows
from hubtune.evaluate.registry import find_metrics
from hubtune.evaluate.running import run_metrics
from hubtune.evaluate.sides import open_sides
from hubtune.models.classifier import Classes
from hubtune.models.environment import environment
from hubtune.models.generation import safe_generation_config
from hubtune.models.load import context_length
from hubtune.models.probe import TOLERANCES, replay, take_probe
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.probe import ProbeRecord
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
) -> Evaluated:
    """Measures both models in the precision of the training; the base through the same weights, the adapter off.

    A metric that raises is recorded as failed, and the others are measured all the same. A classifier, for which
    `classes` says what it tells apart, is measured alone, since its base has no head to classify with; what the config
    does not ask for by name is then `classification`.

    Returns:
        The records; their upstream digests are those of the run directory now.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
        ModelError: The base model or the adapter cannot be loaded.
    """
    from transformers import GenerationConfig

    settings = config.evaluate
    # Whoever plants canaries wants to know how well they are known.
    exposure = ["canary_exposure"] if settings.canaries else []
    asked = settings.metrics if settings.metrics == "all" else [*settings.metrics, *exposure]
    by_name = settings.metrics != "all"
    if classes is not None and asked in ("all", list(DEFAULT)):
        asked, by_name = [CLASSIFICATION], True
    metrics = find_metrics(asked)
    sides = open_sides(run, training, base_folder, config.base.repo, classes)
    context = context_length(base_folder, config.base.repo)
    # A prompt has the other half of the context.
    written = settings.max_new_tokens if context is None else max(1, min(settings.max_new_tokens, context // 2))
    bench = Bench(
        sides=sides,
        tokenizer=tokenizer,
        held_out=held_out,
        train=train,
        generation=GenerationConfig() if classes else safe_generation_config(base_folder, tokenizer, config.base.repo),
        context=context,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=progress,
        most=settings.generations,
        max_new_tokens=written,
        max_items=settings.max_items,
        phone_regions=config.screen.phone_regions,
        bias=settings.bias,
        data=run.read(DataRecord) if run.has(DataRecord) else None,
    )
    if classes is not None:
        bench.classes, bench.several_classes = classes.names, classes.several
        bench.classifier = partial(classify_rows, bench)
    measures = []
    for measure in run_metrics(bench, metrics, by_name=by_name):
        run.event("evaluate", event="measure", name=measure.name, base=measure.base, tuned=measure.tuned, n=measure.n)
        measures.append(measure)
    evaluation = EvaluationRecord(
        upstream=run.digests("config", "evaluate", "data.json", "training.json"),
        measures=measures,
        samples=bench.samples,
        confusions=bench.confusions,
        precision=training.precision,
        batch_size=settings.batch_size,
        max_items=settings.max_items,
        generations=settings.generations,
        max_new_tokens=written,
        seed=settings.seed,
        environment=environment(),
    )
    return Evaluated(evaluation, _probe(run, sides, tokenizer, training.precision, context))


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
