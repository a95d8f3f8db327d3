"""Privacy: personal data in the rows and in generated text, memorized rows, canaries and contamination."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.card.sections.evaluation import in_group
from hubtune.card.sections.licensing import Assessed, Stated, stated
from hubtune.card.sections.screening import KIND_NAMES, Screening, personal_data
from hubtune.card.wording import PRIVACY, percent, signed, thousands
from hubtune.card.wording import measure as digits
from hubtune.config.data import PERSONAL_KINDS
from hubtune.records.data import CanaryRecord, ScreenRecord
from hubtune.records.results import EvaluationRecord, Measure

_PER = 1000
_OWN = ("memorisation", "canary_exposure", "personal_data", "contamination")
_VALUED = ("measured", "insufficient data")


@dataclass(frozen=True)
class Doubt:
    """Why some measures are not reliable."""

    detail: str | None


@dataclass(frozen=True)
class Memorised:
    """How many rows are reproduced; each value is in words, with its interval.

    Attributes:
        suffix: What of a row has to be given back.
        tokens: How many tokens that was here.
        full: How many of the training rows had as many as published figures use.
        too_short: Rows that were left out.
        excess: By how much the tuned model gives training rows back more often; None if there is no value.
    """

    tuned: str
    tuned_held_out: str | None
    base: str | None
    base_held_out: str | None
    excess: str | None
    suffix: str
    tokens: str
    full: int
    rows: int
    too_short: int
    doubt: Doubt | None


@dataclass(frozen=True)
class Exposed:
    """How well the model knows the planted secrets, if it was measured."""

    tuned: str
    base: str | None
    candidates: str
    chance: str
    most: str
    doubt: Doubt | None


@dataclass(frozen=True)
class Generated:
    """A row of the table of personal data in generated texts; values are hits per 1,000 texts."""

    name: str
    rows: str | None
    base: str | None
    tuned: str


@dataclass(frozen=True)
class Generations:
    """Personal data in generated texts.

    Attributes:
        most_with_any: If nothing was found, the most that the share of texts with any can be, at 95%.
        known: Hits of the tuned model for each 1,000 texts that are in the training rows; None if it had no hit.
        known_by_kind: How many of its hits of a kind do.
    """

    texts: int
    prompts: str
    tokens: str
    kinds: list[Generated]
    most_with_any: float | None
    known: str | None
    known_by_kind: list[str]
    doubt: Doubt | None


@dataclass(frozen=True)
class Leaked:
    """Held-out rows that were among the training rows."""

    rows: str
    detail: str | None


@dataclass(frozen=True)
class Privacy(Assessed):
    """Context of `sections/privacy.md.j2`.

    Attributes:
        screening: What was looked for in the rows before training; None if it was not.
        canaries: Secrets that were trained on; None if there are none.
        unasked: Whether memorization was not to be measured at all.
    """

    screening: Screening | None
    generations: Generations | None
    memorised: Memorised | None
    canaries: CanaryRecord | None
    exposed: Exposed | None
    leaked: Leaked | None
    unasked: bool


def privacy(inputs: CardInputs) -> Privacy:
    """Builds the section's context: the measures, and the author's statements."""
    record, screen = inputs.evaluation, inputs.data.screen
    statements = [stated(inputs, "Privacy", "privacy"), stated(inputs, "Consent", "consent")]
    if screen is None:
        statements.insert(0, Stated("Personal data in the training rows", None, "the rows were not screened", None))
    # A measure with sentences of its own is not in the table of the others.
    others = [each for each in record.measures if not (_is_own(each) and _has_value(each)) and not _follows(each)]
    measures, missing = in_group(record.model_copy(update={"measures": others}), PRIVACY)
    return Privacy(
        measures,
        missing,
        statements,
        None if screen is None else personal_data(screen),
        generations=_generations(record, screen),
        memorised=_memorised(record),
        canaries=inputs.data.canaries,
        exposed=_exposed(record),
        leaked=_leaked(record),
        unasked=record.measure("memorisation") is None,
    )


def _is_own(measure: Measure) -> bool:
    return measure.group == PRIVACY and measure.name.startswith(_OWN)


def _has_value(measure: Measure) -> bool:
    return measure.status in _VALUED and measure.tuned is not None


def _follows(measure: Measure) -> bool:
    """Whether a measure without a value only repeats why another of the same metric has none."""
    return _is_own(measure) and measure.name not in _OWN and not _has_value(measure)


def _valued(record: EvaluationRecord, name: str) -> Measure | None:
    found = record.measure(name)
    return found if found is not None and _has_value(found) else None


def _memorised(record: EvaluationRecord) -> Memorised | None:
    train = _valued(record, "memorisation")
    if train is None:
        return None
    held_out, excess = _valued(record, "memorisation_held_out"), _valued(record, "memorisation_excess")
    return Memorised(
        tuned=_share(train, "tuned") or "",
        tuned_held_out=None if held_out is None else _share(held_out, "tuned"),
        base=_share(train, "base"),
        base_held_out=None if held_out is None else _share(held_out, "base"),
        excess=None if excess is None else _points(excess),
        suffix=train.settings.get("suffix", "the end of a row"),
        tokens=train.settings.get("suffix_tokens", "unknown"),
        full=int(train.settings.get("rows_with_50", 0)),
        rows=train.n,
        too_short=int(train.settings.get("too_short", 0)),
        doubt=_doubt([each for each in (train, held_out) if each is not None]),
    )


def _exposed(record: EvaluationRecord) -> Exposed | None:
    found = _valued(record, "canary_exposure")
    if found is None:
        return None
    return Exposed(
        tuned=_with_interval(found, "tuned") or "",
        base=_with_interval(found, "base"),
        candidates=found.settings.get("candidates", "unknown"),
        chance=found.settings.get("chance_bits", "1.44"),
        most=found.settings.get("most_bits", "unknown"),
        doubt=_doubt([found]),
    )


def _generations(record: EvaluationRecord, screen: ScreenRecord | None) -> Generations | None:
    total, known = _valued(record, "personal_data"), _valued(record, "personal_data_in_training")
    if total is None:
        return None
    bound = total.tuned_interval[1] / _PER if total.tuned == 0 and total.tuned_interval else None
    return Generations(
        texts=total.n,
        prompts=total.settings.get("prompts", "the beginnings of rows"),
        tokens=total.settings.get("max_new_tokens", "unknown"),
        kinds=list(_kinds(record, {} if screen is None else _in_rows(screen))),
        most_with_any=bound,
        known=digits(known.tuned) if known is not None and known.tuned is not None and total.tuned else None,
        known_by_kind=[
            f"{KIND_NAMES[kind]}: {known.settings[kind]}"
            for kind in PERSONAL_KINDS
            if known is not None and kind in known.settings
        ],
        doubt=_doubt([total]),
    )


def _kinds(record: EvaluationRecord, in_rows: Mapping[str, str]) -> Iterator[Generated]:
    for kind in PERSONAL_KINDS:
        found = _valued(record, f"personal_data_{kind}")
        if found is not None:
            yield Generated(
                KIND_NAMES[kind], in_rows.get(kind), _with_interval(found, "base"), _with_interval(found, "tuned") or ""
            )


def _in_rows(screen: ScreenRecord) -> dict[str, str]:
    return {finding.kind: digits(finding.per_thousand) for finding in screen.findings}


def _leaked(record: EvaluationRecord) -> Leaked | None:
    found = _valued(record, "contamination")
    return None if found is None else Leaked(_share(found, "tuned") or "", found.detail)


def _doubt(measures: list[Measure]) -> Doubt | None:
    return next((Doubt(each.detail) for each in measures if each.status != "measured"), None)


def _share(measure: Measure, side: str) -> str | None:
    """Returns a rate as how many of how many, such as `12 of 300 (4.0%; 95% CI 2.3% to 6.9%)`."""
    rate: float | None = getattr(measure, side)
    if rate is None:
        return None
    interval: tuple[float, float] | None = getattr(measure, f"{side}_interval")
    between = f"; 95% CI {percent(interval[0])} to {percent(interval[1])}" if interval else ""
    return f"{thousands(rate * measure.n)} of {thousands(measure.n)} ({percent(rate)}{between})"


def _with_interval(measure: Measure, side: str) -> str | None:
    value: float | None = getattr(measure, side)
    if value is None:
        return None
    interval: tuple[float, float] | None = getattr(measure, f"{side}_interval")
    return f"{digits(value)} ({digits(interval[0])} to {digits(interval[1])})" if interval else digits(value)


def _points(excess: Measure) -> str | None:
    if excess.tuned is None or excess.tuned_interval is None:
        return None
    low, high = excess.tuned_interval
    value, least, most = (signed(100 * each, of=100) for each in (excess.tuned, low, high))
    return f"{value} percentage points (95% CI {least} to {most})"
