"""Makes a measure of yes or no per item: the share on each side with Wilson's interval, and both sides compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubtune.evaluate.bench import Side
from hubtune.evaluate.intervals import RESAMPLES, mcnemar, mean_of, paired_bootstrap, wilson
from hubtune.records.evaluation import Measure

METHOD = (
    f"paired bootstrap over items, {RESAMPLES} resamples, 95 % percentile interval of tuned - base; Wilson for each "
    "rate; exact McNemar for the p-value"
)

Answers = Mapping[Side, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Asked:
    """What was asked of each item.

    Attributes:
        name: The measure's.
        split: What the items are.
        least: The fewest items to rely on.
        settings: What else the value depends on.
        notes: What else there is to say.
    """

    name: str
    split: str
    least: int
    settings: Mapping[str, str]
    notes: Sequence[str]
    version: str = "1"


def share(asked: Asked, answers: Answers, seed: int) -> Measure:
    """Returns the measure; with too few items it has its values, no interval of the difference, and says so."""
    items = min((len(values) for values in answers.values()), default=0)
    enough = items >= asked.least
    rates = {side: float(values.mean()) for side, values in answers.items()} if items else {}
    intervals = {side: wilson(int(values.sum()), items) for side, values in answers.items()} if items else {}
    base, tuned = rates.get("base"), rates.get("tuned")
    both = enough and base is not None and tuned is not None
    short = [] if enough else [f"there are {items:,} {asked.split}; {asked.least:,} are the least"]
    return Measure(
        name=asked.name,
        group="bias",
        split=asked.split,
        n=items,
        base=base,
        tuned=tuned,
        difference=tuned - base if tuned is not None and base is not None else None,
        interval=paired_bootstrap(mean_of(answers["base"]), mean_of(answers["tuned"]), items, seed) if both else None,
        interval_method=METHOD if both else "Wilson" if rates else None,
        base_interval=intervals.get("base"),
        tuned_interval=intervals.get("tuned"),
        p_value=mcnemar(answers["base"], answers["tuned"]) if both else None,
        seed=seed if both else None,
        version=asked.version,
        settings=dict(asked.settings),
        status="measured" if enough else "insufficient data",
        detail="; ".join([*short, *asked.notes]) or None,
    )
