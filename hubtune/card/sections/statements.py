"""The sections that only the author can fill: each is a statement, or says why there is none."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs

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
    """Context of the sections that hold statements."""

    items: list[Stated]


def uses(inputs: CardInputs) -> Statements:
    """What the author made it for, and what it must not be used for."""
    card = inputs.config.card
    return Statements(
        [
            Stated("Intended use", card.intended_use, _SILENT, "card.intended_use"),
            Stated("Misuse", card.misuse, _SILENT, "card.misuse"),
        ]
    )


def bias(inputs: CardInputs) -> Statements:
    """What is known of bias."""
    reason = f"no bias measure was run, and {_SILENT}"
    return Statements([Stated("Bias", inputs.config.card.bias, reason, "card.bias")])


def risks(inputs: CardInputs) -> Statements:
    """Ethics, and what was done against harm."""
    card = inputs.config.card
    return Statements(
        [
            Stated("Ethics", card.ethics, _SILENT, "card.ethics"),
            Stated("Safeguards", card.safeguards, _SILENT, "card.safeguards"),
        ]
    )


def privacy(inputs: CardInputs) -> Statements:
    """Personal data in the training rows, and the consent of whom they are about."""
    return Statements(
        [
            Stated("Personal data", None, "the training rows were not screened for personal data", None),
            Stated("Consent", inputs.config.card.consent, _SILENT, "card.consent"),
        ]
    )
