"""The base model against the tuned one, on rows that training did not see."""

from dataclasses import dataclass
from typing import Literal

from hubtune.card.inputs import CardInputs
from hubtune.card.numbers import measure as digits
from hubtune.card.sections.names import precision_name
from hubtune.records.evaluation import Measure

_HEADLINE = "perplexity"

Direction = Literal["fell", "rose", "did not change"]


@dataclass(frozen=True)
class Headline:
    """The measure that a reader looks at first.

    Attributes:
        direction: How the value that is shown went from base to tuned; None where there is no base value.
        change: The relative change, `(tuned - base) / base`; None where there is no base value to divide by.
    """

    name: str
    split: str
    n: int
    base: float | None
    tuned: float
    direction: Direction | None
    change: float | None


@dataclass(frozen=True)
class Compared:
    """A measure with a value for the tuned model; `sufficient` says whether there were rows enough to rely on it."""

    name: str
    base: float | None
    tuned: float
    difference: float | None
    low: float | None
    high: float | None
    n: int
    tokens: int | None
    interval_method: str | None
    sufficient: bool
    detail: str | None


@dataclass(frozen=True)
class Missing:
    """A measure without a value, and why."""

    name: str
    status: str
    detail: str | None


@dataclass(frozen=True)
class Evaluation:
    """Context of `sections/evaluation.md.j2`.

    Attributes:
        conclusive: Whether the headline's interval leaves out zero; None where there is no interval.
        several_sets: Whether the held-out rows come from more than one data set.
    """

    headline: Headline | None
    conclusive: bool | None
    compared: list[Compared]
    missing: list[Missing]
    precision: str
    batch_size: int
    several_sets: bool


def evaluation(inputs: CardInputs) -> Evaluation:
    """Builds the section's context."""
    record = inputs.evaluation
    first = record.measure(_HEADLINE)
    compared = [found for found in map(_compared, record.measures) if found is not None]
    return Evaluation(
        headline=headline(inputs),
        conclusive=not first.interval[0] <= 0 <= first.interval[1] if first and first.interval else None,
        compared=compared,
        missing=[
            Missing(_title(measure.name), measure.status, _clause(measure.detail))
            for measure in record.measures
            if _compared(measure) is None
        ],
        precision=precision_name(record.precision),
        batch_size=record.batch_size,
        several_sets=len({source.repo for source in inputs.data.sources}) > 1,
    )


def headline_status(inputs: CardInputs) -> str:
    """Returns how the measuring of the headline ended."""
    found = inputs.evaluation.measure(_HEADLINE)
    return found.status if found else "not assessed"


def headline(inputs: CardInputs) -> Headline | None:
    """Returns the run's perplexity, None where there is no value to rely on."""
    found = inputs.evaluation.measure(_HEADLINE)
    if found is None or found.status != "measured" or found.tuned is None:
        return None
    base, tuned = found.base, found.tuned
    return Headline(
        name=_title(found.name),
        split=found.split,
        n=found.n,
        base=base,
        tuned=tuned,
        direction=None if base is None else _direction(base, tuned),
        change=(tuned - base) / base if base else None,
    )


def _direction(base: float, tuned: float) -> Direction:
    # By what the reader sees: "fell from 27.40 to 27.40" would puzzle.
    if digits(base) == digits(tuned):
        return "did not change"
    return "fell" if tuned < base else "rose"


def _compared(measure: Measure) -> Compared | None:
    if measure.status not in ("measured", "insufficient data") or measure.tuned is None:
        return None
    low, high = measure.interval or (None, None)
    return Compared(
        name=_title(measure.name),
        base=measure.base,
        tuned=measure.tuned,
        difference=None if measure.base is None else measure.tuned - measure.base,
        low=low,
        high=high,
        n=measure.n,
        tokens=measure.tokens,
        interval_method=measure.interval_method,
        sufficient=measure.status == "measured",
        detail=_clause(measure.detail),
    )


def _clause(detail: str | None) -> str | None:
    # The template ends the sentence.
    return detail.strip().rstrip(".") or None if detail else None


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
