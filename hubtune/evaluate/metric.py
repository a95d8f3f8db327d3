"""What a metric is: a name, and a way to make measures of what stands on the bench."""

from collections.abc import Sequence
from typing import Protocol

from hubtune.evaluate.bench import Bench
from hubtune.records.evaluation import Measure


class Metric(Protocol):
    """One metric; it may give several measures, such as one for each axis."""

    name: str

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures every side of the bench on the same items.

        A metric that cannot measure says so in a measure's status; what it raises is recorded as failed.
        """
