"""Runs metrics one by one: each is timed, and what one of them raises does not keep the others from being measured."""

import math
import re
import time
from collections.abc import Iterator, Sequence

from hubtune.config.screening import PERSONAL_KINDS
from hubtune.data.screening.detectors import Detectors
from hubtune.errors import HubtuneError
from hubtune.evaluate.bench import Bench
from hubtune.evaluate.metric import Choosy, Metric
from hubtune.hub.translate import mask
from hubtune.records.evaluation import Measure, Status

_LONGEST = 200
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[\\/][^\s'\":,;)\]]+")


class BadMeasureError(Exception):
    """A metric gave something that is no measure to record."""


def run_metrics(bench: Bench, metrics: Sequence[Metric], *, by_name: bool) -> Iterator[Measure]:
    """Yields the measures of each metric as they come.

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
