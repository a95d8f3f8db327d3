"""What the metrics of bias have in common: which runs they fit, and notes beside what they found."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hubtune.evaluate.bench import Bench
from hubtune.records.evaluation import Group, Measure


class BiasMetric:
    """A metric of bias: it needs a model of text, and the user's files where the config names some.

    Attributes:
        keys: The keys of `evaluate.bias` whose files it reads.
    """

    group: Group = "bias"
    keys: ClassVar[tuple[str, ...]] = ()

    def unfit(self, bench: Bench) -> str | None:
        """Returns why the metric does not fit: a classifier gives no text a likelihood; or a file is not here.

        A published config has the files' names alone, so whoever measures the release again has to have them.
        """
        if bench.classes:
            return "the model is a classifier, and this is measured on models of text"
        named = bench.bias.named()
        gone = [Path(named[key]).name for key in self.keys if key in named and not Path(named[key]).is_file()]
        return f"the file {gone[0]}, which the config measures bias with, is not at hand" if gone else None


def noted(measure: Measure, notes: Sequence[str]) -> Measure:
    """Returns the measure with further notes in its detail."""
    return measure.model_copy(update={"detail": "; ".join(filter(None, [measure.detail, *notes])) or None})
