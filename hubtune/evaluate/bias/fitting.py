"""What the metrics of bias have in common: which models they fit, and notes beside what they found."""

from collections.abc import Sequence

from hubtune.evaluate.bench import Bench
from hubtune.records.evaluation import Group, Measure


class GeneratesText:
    """A metric of bias, which needs a model of text."""

    group: Group = "bias"

    def unfit(self, bench: Bench) -> str | None:
        """Returns why the metric does not fit: a classifier gives no text a likelihood."""
        return "the model is a classifier, and this is measured on models of text" if bench.classes else None


def noted(measure: Measure, notes: Sequence[str]) -> Measure:
    """Returns the measure with further notes in its detail."""
    return measure.model_copy(update={"detail": "; ".join(filter(None, [measure.detail, *notes])) or None})
