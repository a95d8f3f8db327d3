"""The evaluation record: each measure of the base model and of the tuned one, on the same items."""

from typing import Literal

from hubtune.records.base import Record
from hubtune.records.training import EnvironmentRecord


class Measure(Record):
    """One measure.

    Attributes:
        name: The measure's name, such as `perplexity`.
        split: The rows it was taken on, such as `held-out`.
        n: Number of items (rows) measured.
        tokens: Number of predicted tokens, where the measure is over tokens.
        base: The base model's value; null where that side does not exist.
        tuned: The tuned model's value; null likewise.
        interval: The 95 % interval of `tuned - base`, by the method that `interval_method` names.
        status: Whether there is a value to rely on.
        detail: Why there is none, or how the value came about.
    """

    name: str
    split: str
    n: int
    tokens: int | None = None
    base: float | None
    tuned: float | None
    interval: tuple[float, float] | None
    interval_method: str | None = None
    status: Literal["measured", "insufficient data", "not assessed", "failed"]
    detail: str | None = None


class EvaluationRecord(Record):
    """What the evaluate stage did. `upstream` holds the digests of config sections, data and training records."""

    upstream: dict[str, str]
    measures: list[Measure]
    precision: str
    batch_size: int
    max_items: int | None
    seed: int
    environment: EnvironmentRecord

    def measure(self, name: str) -> Measure | None:
        """Returns the measure of that name, or None."""
        return next((measure for measure in self.measures if measure.name == name), None)
