"""What is measured, wherever it comes from: the sides, and how they are read and written with; and the record of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from hubtune.config.metrics import CLASSIFICATION, DEFAULT
from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.bench import Bench, Sides
from hubtune.evaluate.classifying import classify_rows
from hubtune.evaluate.earlier import Earlier, measure_earlier
from hubtune.evaluate.metric import Metric
from hubtune.evaluate.registry import find_metrics
from hubtune.evaluate.running import run_metrics
from hubtune.models.classifier import Classes
from hubtune.models.environment import environment
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.progress import Progress

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Models:
    """What is measured.

    Attributes:
        sides: The models; `base` is missing where there is none.
        generation: Greedy settings that stop where the release's do.
        context: The most tokens that the models can read; None where there is no limit.
        precision: What the weights are held in.
        classes: What classifiers tell apart; None for models that write text.
    """

    sides: Sides
    tokenizer: "PreTrainedTokenizerBase"
    generation: "GenerationConfig"
    context: int | None
    precision: str
    classes: Classes | None = None


def measure_models(
    models: Models,
    config: TuneConfig,
    train: Sequence[Example],
    held_out: Sequence[Example],
    upstream: dict[str, str],
    progress: Progress,
    data: DataRecord | None,
    on_measure: Callable[[Measure], None] | None = None,
    earlier: Earlier | None = None,
) -> EvaluationRecord:
    """Measures by the config's metrics; one that raises is recorded as failed, and the others go on.

    Of classifiers, what the config does not ask for by name is `classification`.

    Args:
        models: What to measure.
        config: Says how.
        train: The rows that the tuned model was trained on.
        held_out: Those that it was not.
        upstream: Digests of what the record is made from.
        progress: Told of each step.
        data: What is recorded of the data; None where it is not that of the tuned model's training.
        on_measure: Told of each measure as it comes.
        earlier: An earlier task to measure besides; None where there is none.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
    """
    metrics, by_name = _metrics(config, models)
    bench = _bench(models, config, train, held_out, progress, data)
    measures = []
    found = run_metrics(bench, metrics, by_name=by_name)
    for measure in found if earlier is None else chain(found, measure_earlier(bench, earlier)):
        if on_measure is not None:
            on_measure(measure)
        measures.append(measure)
    return EvaluationRecord(
        upstream=upstream,
        measures=measures,
        samples=bench.samples,
        confusions=bench.confusions,
        precision=models.precision,
        batch_size=bench.batch_size,
        max_items=bench.max_items,
        generations=bench.most,
        max_new_tokens=bench.max_new_tokens,
        seed=bench.seed,
        environment=environment(),
    )


def _metrics(config: TuneConfig, models: Models) -> tuple[Sequence[Metric], bool]:
    """Returns the metrics to measure, and whether they are asked for by name."""
    settings = config.evaluate
    if models.classes is not None and settings.metrics in ("all", list(DEFAULT)):
        return find_metrics([CLASSIFICATION]), True
    if settings.metrics == "all":
        return find_metrics("all"), False
    # Whoever plants canaries wants to know how well they are known.
    return find_metrics([*settings.metrics, *(["canary_exposure"] if settings.canaries else [])]), True


def _bench(
    models: Models,
    config: TuneConfig,
    train: Sequence[Example],
    held_out: Sequence[Example],
    progress: Progress,
    data: DataRecord | None,
) -> Bench:
    settings = config.evaluate
    # A prompt has the other half of the context.
    room = settings.max_new_tokens if models.context is None else max(1, models.context // 2)
    bench = Bench(
        sides=models.sides,
        tokenizer=models.tokenizer,
        held_out=held_out,
        train=train,
        generation=models.generation,
        context=models.context,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=progress,
        most=settings.generations,
        max_new_tokens=min(settings.max_new_tokens, room),
        max_items=settings.max_items,
        phone_regions=config.screen.phone_regions,
        bias=settings.bias,
        data=data,
    )
    if models.classes is not None:
        bench.classes, bench.several_classes = models.classes.names, models.classes.several
        bench.classifier = partial(classify_rows, bench)
    return bench
