"""Measures models with the metrics of a config: finds the metrics, runs each, and records results and failures.

A run, a release and a verification all use `measure_models`, so that their values are comparable.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from itertools import chain
from typing import TYPE_CHECKING, Literal

from hubtune.config.data import PERSONAL_KINDS
from hubtune.config.evaluation import CLASSIFICATION, DEFAULT, ENTRY_POINTS, known_metrics, unknown_metric
from hubtune.config.schema import TuneConfig
from hubtune.data.batch import collate_classes
from hubtune.data.screening.detectors import Detectors
from hubtune.data.tokenization import Example
from hubtune.errors import ConfigError, HubtuneError
from hubtune.evaluate.bench import Bench, Choosy, Metric, Side, Sides
from hubtune.evaluate.bias import BIAS_METRICS
from hubtune.evaluate.intervals import LEAST_ROWS, RESAMPLES, paired_bootstrap, ratio_of
from hubtune.evaluate.privacy import PRIVACY_METRICS
from hubtune.evaluate.quality import QUALITY_METRICS
from hubtune.evaluate.quality.likelihood import BitsPerByte, Perplexity
from hubtune.hub.translate import mask
from hubtune.models.classifier import Classes, give_classes
from hubtune.models.memory import environment
from hubtune.models.pretrained import pad_id
from hubtune.records.base import Progress
from hubtune.records.data import DataRecord
from hubtune.records.results import EARLIER_HELD_OUT, EarlierTaskRecord, EvaluationRecord, Measure, Status

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


BUILT_IN: tuple[Metric, ...] = (*QUALITY_METRICS, *BIAS_METRICS, *PRIVACY_METRICS)
"""hubtune's own metrics; `hubtune.config.evaluation` has their names, which a config is checked by without torch."""


class Broken:
    """A plugin that cannot be imported; measuring raises the exception of the import."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    def measure(self, bench: Bench) -> Sequence[Measure]:  # noqa: ARG002 - a metric's form
        raise self._error


def find_metrics(asked: Iterable[str] | Literal["all"]) -> list[Metric]:
    """Returns the metrics of these names, hubtune's own first in their order; `all` means every installed metric.

    Raises:
        ConfigError: There is no metric of a name.
    """
    known = known_metrics()
    wanted = known if asked == "all" else list(asked)
    faults = [fault for name in wanted if (fault := unknown_metric(name, known)) is not None]
    if faults:
        raise ConfigError(
            "The config asks for metrics that are not installed here.",
            details=faults,
            hint="Install the package that offers them, or correct evaluate.metrics in the run's config.yaml.",
        )
    own = {metric.name: metric for metric in BUILT_IN}
    return [own[name] if name in own else _plugin(name) for name in known if name in wanted]


def _plugin(name: str) -> Metric:
    (point, *_) = entry_points(group=ENTRY_POINTS, name=name)
    try:
        loaded = point.load()
        metric: Metric = loaded() if isinstance(loaded, type) else loaded
        if not callable(getattr(metric, "measure", None)):
            raise TypeError(f"{point.value} is not a metric: it has no method `measure`")
    except Exception as error:  # noqa: BLE001 - whatever a plugin's module does when it is imported
        return Broken(name, error)
    return metric


def classify_rows(bench: Bench, side: Side) -> list[list[int]]:
    """Returns the class ids that one model predicts for each held-out row: one, unless rows can have several."""
    rows, padding, size = bench.held_out, pad_id(bench.tokenizer), bench.batch_size
    starts = range(0, len(rows), size)
    batches = [
        partial(collate_classes, [rows[number] for number in range(start, min(start + size, len(rows)))], padding, None)
        for start in starts
    ]
    with bench.progress.task(f"Classifying held-out rows, {side}", len(starts)) as task, bench.sides[side]() as model:
        return give_classes(model, batches, task.advance)


_LONGEST = 200
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[\\/][^\s'\":,;)\]]+")


class BadMeasureError(Exception):
    """A metric returned something that cannot be recorded as a measure."""


def run_metrics(bench: Bench, metrics: Sequence[Metric], *, by_name: bool) -> Iterator[Measure]:
    """Yields the measures of each metric.

    Args:
        bench: What to measure on.
        metrics: What to measure.
        by_name: Whether each was asked for, so that one that does not fit is told of; else such are left out.
    """
    taken: dict[str, str] = {}
    for metric in metrics:
        for measure in _measured(bench, metric, taken, by_name=by_name):
            taken[measure.name] = metric.name
            yield measure


def _measured(bench: Bench, metric: Metric, taken: dict[str, str], *, by_name: bool) -> list[Measure]:
    start = time.monotonic()
    try:
        reason = metric.unfit(bench) if isinstance(metric, Choosy) else None
        if reason is not None:
            return [_without_value(metric, "not assessed", reason)] if by_name else []
        measures = [_checked(measure, taken) for measure in metric.measure(bench)]
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and the rest is to go on
        measures = [_without_value(metric, "failed", _told(error))]
        bench.progress.warn(f"The metric {metric.name} failed: {measures[0].detail}")
    seconds = round(time.monotonic() - start, 2)
    return [
        measure.model_copy(update={"seconds": seconds}) if measure is measures[0] else measure for measure in measures
    ]


def _checked(measure: object, taken: dict[str, str]) -> Measure:
    if not isinstance(measure, Measure):
        raise BadMeasureError(f"it gave a {type(measure).__name__}, and not a Measure")
    if measure.name in taken:
        raise BadMeasureError(f"it gave a measure {measure.name}, and so did {taken[measure.name]}")
    values = [measure.base, measure.tuned, measure.difference, *(measure.interval or ())]
    if not all(value is None or math.isfinite(value) for value in values):
        raise BadMeasureError(f"its measure {measure.name} holds a value that is no number")
    return measure


def _without_value(metric: Metric, status: Status, detail: str) -> Measure:
    group = getattr(metric, "group", "quality")
    return Measure(
        name=metric.name,
        group=group,
        split="held-out",
        n=0,
        base=None,
        tuned=None,
        interval=None,
        status=status,
        detail=detail,
    )


def _told(error: Exception) -> str:
    """Returns one line that can be published: no folders of this machine, no secrets, no personal data of a row."""
    lines = str(error).strip().splitlines()
    said = lines[0] if lines else ""
    if not isinstance(error, (HubtuneError, BadMeasureError)):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    said = _PATH.sub("[path]", Detectors.make().redact(mask(said), PERSONAL_KINDS))
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


_METHOD = f"paired bootstrap over rows, {RESAMPLES} resamples, 95% percentile interval of after - before"


@dataclass(frozen=True)
class EarlierHeldOut:
    """An earlier task.

    Attributes:
        held_out: Its rows that nothing was learned from.
        task: How well the training found it known before and after; None if that is not to be told again.
    """

    held_out: Sequence[Example]
    task: EarlierTaskRecord | None = None


def measure_earlier(bench: Bench, earlier: EarlierHeldOut) -> Iterator[Measure]:
    """Yields the measures of an earlier task, which have their own split.

    Args:
        bench: What the new task is measured on.
        earlier: The earlier one.
    """
    own = replace(bench, held_out=earlier.held_out, _likelihoods={})
    for measure in run_metrics(own, [Perplexity(), BitsPerByte()], by_name=True):
        yield measure.model_copy(update={"split": EARLIER_HELD_OUT})
    if earlier.task is not None:
        yield _forgetting(earlier.task, bench.seed)


def _forgetting(task: EarlierTaskRecord, seed: int) -> Measure:
    few = task.rows < LEAST_ROWS
    interval = None
    if task.row_tokens and not few:
        before, after = (ratio_of(sums, task.row_tokens) for sums in (task.row_before, task.row_after))
        interval = paired_bootstrap(before, after, task.rows, seed)
    said = "mean loss after training minus mean loss before the first step, in nats per token"
    return Measure(
        name="forgetting",
        split=EARLIER_HELD_OUT,
        n=task.rows,
        tokens=task.tokens,
        base=None,
        tuned=task.forgetting,
        difference=task.forgetting,
        interval=interval,
        interval_method=_METHOD if interval else None,
        seed=seed if interval else None,
        status="insufficient data" if few else "measured",
        detail=f"{said}; {task.rows:,} rows were measured, but at least {LEAST_ROWS:,} are needed" if few else said,
    )


@dataclass(frozen=True)
class Models:
    """The models to measure.

    Attributes:
        sides: The models; `base` is missing if there is none.
        generation: Greedy settings that stop as the release's do.
        context: The most tokens that the models can read; None if there is no limit.
        precision: What the weights are held in.
        classes: What classifiers tell apart; None for models that write text.
    """

    sides: Sides
    tokenizer: "PreTrainedTokenizerBase"
    generation: "GenerationConfig"
    context: int | None
    precision: str
    classes: Classes | None = None


@dataclass(frozen=True)
class MeasuredRows:
    """The rows to measure on.

    Attributes:
        train: The rows that the tuned model was trained on.
        held_out: Those that it was not.
        data: What is recorded of them; None if they are not the data of the tuned model's training.
        earlier: An earlier task to measure too; None if there is none.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]
    data: DataRecord | None = None
    earlier: EarlierHeldOut | None = None


def measure_models(
    models: Models,
    rows: MeasuredRows,
    config: TuneConfig,
    progress: Progress,
    on_measure: Callable[[Measure], None] = lambda _: None,
) -> EvaluationRecord:
    """Measures with the config's metrics; a metric that raises is recorded as failed, and the others continue.

    Of classifiers, what the config does not ask for by name is `classification`.

    Args:
        models: What to measure.
        rows: What to measure it on.
        config: Says how.
        progress: Reports each step.
        on_measure: Called with each measure as it comes.

    Returns:
        The record, without the digests of what it is made from.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
    """
    metrics, by_name = _metrics(config, models)
    bench = _bench(models, rows, config, progress)
    measures = []
    found = run_metrics(bench, metrics, by_name=by_name)
    for measure in found if rows.earlier is None else chain(found, measure_earlier(bench, rows.earlier)):
        on_measure(measure)
        measures.append(measure)
    return EvaluationRecord(
        upstream={},
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


def _bench(models: Models, rows: MeasuredRows, config: TuneConfig, progress: Progress) -> Bench:
    settings = config.evaluate
    # A prompt has the other half of the context.
    room = settings.max_new_tokens if models.context is None else max(1, models.context // 2)
    bench = Bench(
        sides=models.sides,
        tokenizer=models.tokenizer,
        held_out=rows.held_out,
        train=rows.train,
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
        data=rows.data,
    )
    if models.classes is not None:
        bench.classes, bench.several_classes = models.classes.names, models.classes.several
        bench.classifier = partial(classify_rows, bench)
    return bench
