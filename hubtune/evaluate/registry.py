"""Finds metrics by their names: hubtune's own, and those that installed packages offer."""

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from typing import Literal

from hubtune.config.metrics import ENTRY_POINTS, known_metrics, unknown_metric
from hubtune.errors import ConfigError
from hubtune.evaluate.bench import Bench
from hubtune.evaluate.bias.metrics import BIAS_METRICS
from hubtune.evaluate.metric import Metric
from hubtune.evaluate.privacy.metrics import PRIVACY_METRICS
from hubtune.evaluate.quality.metrics import QUALITY_METRICS
from hubtune.records.evaluation import Measure

BUILT_IN: tuple[Metric, ...] = (*QUALITY_METRICS, *BIAS_METRICS, *PRIVACY_METRICS)
"""hubtune's own metrics; `hubtune.config.metrics` has their names, which a config is checked by without torch."""


class Broken:
    """A plugin that cannot be imported; measuring raises what importing it raised."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    def measure(self, bench: Bench) -> Sequence[Measure]:  # noqa: ARG002 - a metric's form
        raise self._error


def find_metrics(asked: Iterable[str] | Literal["all"]) -> list[Metric]:
    """Returns the metrics of these names, hubtune's own first and in their order; `all` is every one installed.

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
