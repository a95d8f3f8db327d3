"""What a metric is: a name, and a way to make measures of what stands on the bench. Plugins are made to this too."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hubtune.evaluate.bench import Bench
from hubtune.records.evaluation import Measure


class Metric(Protocol):
    """One metric; it may give several measures, such as one for each axis.

    Attributes:
        name: What the config's `evaluate.metrics` calls it.
    """

    name: str

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures every side of the bench on the same items.

        A metric that cannot measure says so in a measure's status; what it raises is recorded as failed.
        """


@runtime_checkable
class Choosy(Protocol):
    """A metric that does not fit every run; one without this method fits all."""

    def unfit(self, bench: Bench) -> str | None:
        """Returns why the metric does not fit the run's rows, None where it does.

        One that was asked for by name is then recorded as not assessed; `metrics: all` leaves it out.
        """
