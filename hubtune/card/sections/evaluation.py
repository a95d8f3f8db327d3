"""Evaluation: base and tuned model on held-out rows, generated samples, and human preference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.card.sections.continual_learning import Earlier, earlier
from hubtune.card.wording import QUALITY, measure_meaning, measure_name, precision_name, recorded
from hubtune.card.wording import measure as digits
from hubtune.records.release import Fidelity
from hubtune.records.results import Confusion, EvaluationRecord, Measure, Sample


@dataclass(frozen=True)
class Preference:
    """Context of `sections/_preference.md.j2`.

    Attributes:
        decided: Pairs in which one side is preferred.
        ties: Pairs in which neither is.
        rate: The tuned model's share of the decided pairs; None if there are none.
        sufficient: Whether there are decided pairs enough to rely on the rate.
        conclusive: Whether the interval leaves out one half.
        agreement: How often two raters of one pair answered the same; None if no pair had two.
    """

    raters: int
    max_new_tokens: int
    decided: int
    ties: int
    identical: int
    rate: float | None
    low: float
    high: float
    interval_method: str
    sufficient: bool
    conclusive: bool
    agreement: float | None
    compared: int


def preference(inputs: CardInputs) -> Preference | None:
    """Builds the context; None if nobody rated."""
    if inputs.ratings is None:
        return None
    counts, measure = inputs.ratings.counts, inputs.ratings.measure
    low, high = measure.tuned_interval or (0.0, 1.0)
    return Preference(
        raters=counts.raters,
        max_new_tokens=inputs.ratings.max_new_tokens,
        decided=measure.n,
        ties=counts.ties,
        identical=inputs.ratings.identical,
        rate=measure.tuned,
        low=low,
        high=high,
        interval_method=recorded(measure.interval_method or ""),
        sufficient=measure.status == "measured",
        conclusive=not low <= 0.5 <= high,
        agreement=counts.agreed / counts.compared if counts.compared else None,
        compared=counts.compared,
    )


# The measure that a reader looks at first; a classifier has the second.
_HEADLINES = ("perplexity", "accuracy")
EVALUATION_PICTURE = "images/evaluation.png"
"""Where the chart of base against tuned is in the repository."""

Direction = Literal["fell", "rose", "did not change"]


@dataclass(frozen=True)
class Headline:
    """The measure that a reader looks at first.

    Attributes:
        direction: How the value that is shown went from base to tuned; None if there is no base value.
        worse: Whether it went the wrong way.
        change: The relative change, `(tuned - base) / base`; None if there is no base value to divide by.
    """

    name: str
    better: Literal["lower", "higher"]
    split: str
    n: int
    base: float | None
    tuned: float
    direction: Direction | None
    worse: bool
    change: float | None


@dataclass(frozen=True)
class Compared:
    """A measure with a value for the tuned model; `sufficient` says whether there were enough rows to rely on it."""

    name: str
    meaning: str | None
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
    base_interval: tuple[float, float] | None = None
    tuned_interval: tuple[float, float] | None = None
    p_value: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """A measure without a value, and why."""

    name: str
    status: str
    detail: str | None


@dataclass(frozen=True)
class Intervals:
    """The interval method of some measures."""

    method: str
    names: list[str]


@dataclass(frozen=True)
class Evaluation:
    """Context of `sections/evaluation.md.j2`.

    Attributes:
        conclusive: Whether the headline's interval leaves out zero; None if there is no interval.
        intervals: How the intervals were made, by method.
        written: How the texts were made that some measures are of; None if there are none.
        samples: What both models wrote after the same beginnings.
        confusions: Of a classifier, which classes each side mixes up.
        new_tokens: Whether the rows hold tokens that the base lacks.
        several_sets: Whether the held-out rows come from more than one dataset.
        merging: For merged weights, how near they are to base and adapter, which is what was measured.
        preference: What people preferred; None if nobody rated.
        earlier: What became of an earlier task; None if the config names none.
        swept: How many trials of a sweep were compared on the same rows, to choose the settings; None if none were.
    """

    headline: Headline | None
    conclusive: bool | None
    compared: list[Compared]
    missing: list[Missing]
    intervals: list[Intervals]
    written: str | None
    samples: list[Sample]
    confusions: list[Confusion]
    chart: Markdown | None
    precision: str
    batch_size: int
    new_tokens: bool
    several_sets: bool
    merging: Fidelity | None
    preference: Preference | None
    earlier: Earlier | None
    swept: int | None


def evaluation(inputs: CardInputs) -> Evaluation:
    """Builds the section's context."""
    record = inputs.evaluation
    first = _first(inputs)
    compared, missing = in_group(record, QUALITY)
    origin = inputs.config.sweep
    return Evaluation(
        headline=headline(inputs),
        conclusive=not first.interval[0] <= 0 <= first.interval[1] if first and first.interval else None,
        compared=compared,
        missing=missing,
        intervals=_intervals(compared),
        written=_written(compared),
        samples=record.samples,
        confusions=record.confusions,
        chart=Markdown(EVALUATION_PICTURE) if charted(record) else None,
        precision=precision_name(record.precision),
        batch_size=record.batch_size,
        new_tokens=bool(inputs.training.added_tokens),
        several_sets=len({source.label for source in inputs.data.sources}) > 1,
        merging=inputs.merge.fidelity if inputs.merge else None,
        preference=preference(inputs),
        earlier=earlier(inputs),
        swept=origin.trials if origin is not None and origin.rows == "held-out" else None,
    )


def in_group(record: EvaluationRecord, group: str) -> tuple[list[Compared], list[Missing]]:
    """Returns the measures of one group, without an earlier task: with and without a value for the tuned model."""
    measures = [measure for measure in record.of_task if measure.group == group]
    compared = [found for found in map(_compared, measures) if found is not None]
    missing = [
        Missing(measure_name(measure.name), measure.status, _clause(measure.detail))
        for measure in measures
        if _compared(measure) is None
    ]
    return compared, missing


def charted(record: EvaluationRecord) -> list[Compared]:
    """Returns the measures of quality that have a reliable value on both sides."""
    measures, _ = in_group(record, QUALITY)
    return [measure for measure in measures if measure.sufficient and measure.base is not None]


def headline_status(inputs: CardInputs) -> str:
    """Returns the status of the headline measure."""
    found = _first(inputs)
    return found.status if found else "not assessed"


def headline(inputs: CardInputs) -> Headline | None:
    """Returns the run's perplexity, or a classifier's accuracy; None if there is no value to rely on."""
    found = _first(inputs)
    if found is None or found.status != "measured" or found.tuned is None:
        return None
    base, tuned = found.base, found.tuned
    better: Literal["lower", "higher"] = "lower" if found.name == _HEADLINES[0] else "higher"
    direction = None if base is None else _direction(base, tuned)
    return Headline(
        name=measure_name(found.name),
        better=better,
        split=found.split,
        n=found.n,
        base=base,
        tuned=tuned,
        direction=direction,
        worse=direction == ("rose" if better == "lower" else "fell"),
        change=(tuned - base) / base if base else None,
    )


def _first(inputs: CardInputs) -> Measure | None:
    return inputs.evaluation.measure(_HEADLINES[0 if inputs.data.labels is None else 1])


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
        name=measure_name(measure.name),
        meaning=measure_meaning(measure.name),
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
        base_interval=measure.base_interval,
        tuned_interval=measure.tuned_interval,
        p_value=measure.p_value,
        settings=measure.settings,
    )


def _intervals(compared: Sequence[Compared]) -> list[Intervals]:
    methods = dict.fromkeys(row.interval_method for row in compared if row.interval_method is not None)
    return [
        Intervals(recorded(method), [row.name for row in compared if row.interval_method == method])
        for method in methods
    ]


def _written(compared: Sequence[Compared]) -> str | None:
    ways = dict.fromkeys(
        recorded(f"{row.settings['given']}; {row.settings['decoding']}")
        for row in compared
        if {"given", "decoding"} <= row.settings.keys()
    )
    return "; ".join(ways) or None


def _clause(detail: str | None) -> str | None:
    # The template ends the sentence.
    return detail.strip().rstrip(".") or None if detail else None
