"""Bias: explanations of what was measured, next to the table, and the author's statement."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.card.sections.evaluation import in_group
from hubtune.card.sections.licensing import Assessed, stated
from hubtune.card.wording import BIAS
from hubtune.records.results import Measure

_GAP, _ABSOLUTE = "counterfactual_gap_", "counterfactual_gap_abs_"
# What the terms of hubtune's own templates are, the first of a pair and the second.
_SIDES = {
    "gender": ("a term for women", "a term for men"),
    "ethnicity": ("a term for a minority in the United States", "a term for white or European Americans"),
    "religion": ("a term for another religion or none", "a term for Christians"),
}


@dataclass(frozen=True)
class Gap:
    """The result of one axis for the tuned model, in nats over the words that follow the term.

    Attributes:
        first: What the first terms of the axis are; the gap is above 0 if the rest is more likely after them.
        second: What the second ones are.
        times: How many times as likely that is: exp(gap).
        low: Of the 95% interval of the gap; None if there were too few templates for one.
        absolute: The mean absolute gap; None if it was not measured.
        changes: Whether base and tuned model differ by more than chance at 5%; None if that was not tested.
        p_value: Of that test, adjusted for the number of axes.
        sufficient: Whether there were templates and terms enough to rely on it.
    """

    axis: str
    first: str
    second: str
    swaps: int
    templates: str | None
    terms: str | None
    gap: float
    times: float
    low: float | None
    high: float | None
    base: float | None
    absolute: float | None
    changes: bool | None
    p_value: float | None
    sufficient: bool


@dataclass(frozen=True)
class Rate:
    """A share of the tuned model's answers with its own interval; `sufficient` as above."""

    rate: float
    low: float | None
    high: float | None
    n: int
    sufficient: bool


@dataclass(frozen=True)
class WordList:
    """The word list; its words are not on the card."""

    rate: Rate
    words: str | None
    sha256: str | None
    own: bool


@dataclass(frozen=True)
class Bias(Assessed):
    """Context of `sections/bias.md.j2`.

    Attributes:
        gaps: Per axis, in words.
        preference: How often the stereotyped one of two sentences was more likely.
        word_list: What was found of a word list.
        own: Names of hubtune's own material that was used, each once.
        given: Names of the author's files that were used, each with its sha256.
    """

    gaps: list[Gap]
    preference: Rate | None
    word_list: WordList | None
    own: list[str]
    given: list[tuple[str, str]]


def bias(inputs: CardInputs) -> Bias:
    """Builds the context: the measures of bias, and the author's statements."""
    compared, missing = in_group(inputs.evaluation, BIAS)
    valued = [
        measure
        for measure in inputs.evaluation.measures
        if measure.group == BIAS and measure.tuned is not None and measure.status != "failed"
    ]
    by_name = {measure.name: measure for measure in valued}
    own, given = _materials(valued)
    return Bias(
        measures=compared,
        missing=missing,
        items=[stated(inputs, "Bias", "bias"), stated(inputs, "Safeguards", "safeguards")],
        gaps=[
            _gap(measure, by_name.get(_ABSOLUTE + measure.name.removeprefix(_GAP)))
            for measure in valued
            if measure.name.startswith(_GAP) and not measure.name.startswith(_ABSOLUTE)
        ],
        preference=_rate(by_name.get("pair_preference")),
        word_list=_word_list(by_name.get("word_list_hits")),
        own=own,
        given=given,
    )


def _gap(measure: Measure, absolute: Measure | None) -> Gap:
    axis = measure.name.removeprefix(_GAP)
    own = measure.settings.get("origin") == "hubtune"
    first, second = _SIDES.get(axis, (None, None)) if own else (None, None)
    low, high = measure.tuned_interval or (None, None)
    tuned = measure.tuned or 0.0
    return Gap(
        axis=axis.replace("_", " "),
        first=first or "the first term of a pair",
        second=second or "the second term",
        swaps=measure.n,
        templates=measure.settings.get("templates"),
        terms=measure.settings.get("terms"),
        gap=tuned,
        times=math.exp(min(tuned, 700.0)),
        low=low,
        high=high,
        base=measure.base,
        absolute=None if absolute is None else absolute.tuned,
        changes=None if measure.p_value is None else measure.p_value < 0.05,
        p_value=measure.p_value,
        sufficient=measure.status == "measured",
    )


def _rate(measure: Measure | None) -> Rate | None:
    if measure is None or measure.tuned is None:
        return None
    low, high = measure.tuned_interval or (None, None)
    return Rate(measure.tuned, low, high, measure.n, measure.status == "measured")


def _word_list(measure: Measure | None) -> WordList | None:
    rate = _rate(measure)
    if measure is None or rate is None:
        return None
    settings = measure.settings
    own = settings.get("word_list_origin") == "hubtune"
    return WordList(rate, settings.get("words"), settings.get("word_list_sha256"), own)


def _materials(measures: Sequence[Measure]) -> tuple[list[str], list[tuple[str, str]]]:
    own: dict[str, None] = {}
    given: dict[tuple[str, str], None] = {}
    for measure in measures:
        settings = measure.settings
        for name, digest, origin in (
            ("material", "sha256", "origin"),
            ("word_list", "word_list_sha256", "word_list_origin"),
            ("prompts", "prompts_sha256", "origin"),
        ):
            if name in settings and settings.get(origin) == "hubtune":
                own[settings[name]] = None
            elif name in settings and digest in settings:
                given[settings[name], settings[digest]] = None
    return list(own), list(given)
