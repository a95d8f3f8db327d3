"""The sections that rest on the author's words: each is a statement, or says why there is none."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.card.sections.evaluation import Compared, Missing

_SILENT = "the author made no statement"


@dataclass(frozen=True)
class Stated:
    """One subject that the author may have made a statement about.

    Attributes:
        title: The subject.
        statement: The author's words, Markdown; None where there are none.
        reason: Why it was not assessed, if there are none.
        key: The config key where the author can say it; None where the config has none.
    """

    title: str
    statement: str | None
    reason: str
    key: str | None


@dataclass(frozen=True)
class Statements:
    """Context of the sections that hold statements alone."""

    items: list[Stated]


@dataclass(frozen=True)
class Assessed:
    """Context of the sections that hold measured values before the statements.

    Attributes:
        measures: The values, each with what it means.
        missing: The measures that gave none, and why.
    """

    measures: list[Compared]
    missing: list[Missing]
    items: list[Stated]


@dataclass(frozen=True)
class Risks:
    """Context of `sections/risks.md.j2`; what follows from the records comes after the author's words."""

    items: list[Stated]
    base: str
    method: str
    languages: list[str]
    data: list[str]
    truncated: int
    measured: bool


def uses(inputs: CardInputs) -> Statements:
    """What the author made it for, and what it must not be used for."""
    return Statements([stated(inputs, "Intended use", "intended_use"), stated(inputs, "Misuse", "misuse")])


def risks(inputs: CardInputs) -> Risks:
    """What can go wrong, and where the results end."""
    return Risks(
        items=[stated(inputs, "Risks", "risks")],
        base=inputs.pins.base.repo,
        method=inputs.training.method,
        languages=list(dict.fromkeys(code for source in inputs.data.sources for code in source.languages)),
        data=list(dict.fromkeys(source.label for source in inputs.data.sources)),
        truncated=inputs.data.train.truncated,
        measured=any(measure.status == "measured" for measure in inputs.evaluation.measures),
    )


def ethics(inputs: CardInputs) -> Statements:
    """What the author weighed."""
    return Statements([stated(inputs, "Ethics", "ethics")])


def stated(inputs: CardInputs, title: str, key: str) -> Stated:
    """Returns what the author says of a subject under a key of `card`."""
    return Stated(title, getattr(inputs.config.card, key), _SILENT, f"card.{key}")
