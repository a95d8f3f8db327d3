"""Licensing, and the sections with the author's statements: intended use, risks and ethics."""

from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT, CardInputs
from hubtune.card.licensing.decision import DutyKind, LicenseDecision
from hubtune.card.licensing.rules import license_table
from hubtune.card.sections.evaluation import Compared, Missing


@dataclass(frozen=True)
class InputLicense:
    """What one input states at a commit, shortened; `licenses` is empty if it states none."""

    kind: str
    repo: str
    commit: str | None
    licenses: list[str]
    name: str | None


@dataclass(frozen=True)
class Accepted:
    """A signed-off reason for an input for which no license grant is known."""

    repo: str
    reason: str
    by: str


@dataclass(frozen=True)
class Licensing:
    """Context of `sections/licensing.md.j2`.

    Attributes:
        title: What people call the release's license, if that is more than its identifier.
        terms: What the reader has to keep to, a sentence each.
        notices: Texts that have to be shown word for word.
    """

    verdict: str
    license: str | None
    title: str | None
    name: str | None
    link: str | None
    inputs: list[InputLicense]
    reasons: list[str]
    terms: list[str]
    attributions: list[str]
    notices: list[str]
    displays: list[str]
    accepted: list[Accepted]
    published: bool


def licensing(inputs: CardInputs) -> Licensing:
    """Builds the section's context."""
    decision = inputs.licenses
    rows: list[InputLicense] = []
    for term in decision.terms:
        item = term.input
        kind = "Base model" if item.kind == "base" else "Dataset"
        row = InputLicense(
            kind, item.label, item.commit and item.commit[:SHORT_COMMIT], list(item.licenses), item.license_name
        )
        if row not in rows:
            rows.append(row)
    known = license_table().find(decision.license) if decision.license else None
    return Licensing(
        verdict=decision.verdict,
        license=decision.license,
        title=known.name if known is not None and known.known else None,
        name=decision.license_name,
        link=decision.license_link,
        inputs=rows,
        reasons=[_sentence(reason) for reason in decision.reasons],
        terms=_texts(decision, "non_commercial", "share_alike", "use_restrictions", "clause", "name_prefix"),
        attributions=decision.attributions,
        notices=list(
            dict.fromkeys(duty.shown for duty in decision.duties if duty.kind in ("notice", "changes") and duty.shown)
        ),
        displays=displays(decision),
        accepted=[Accepted(entry.repo, entry.reason, entry.by) for entry in decision.accepted],
        published=inputs.target is not None,
    )


def displays(decision: LicenseDecision) -> list[str]:
    """Returns the texts that must be shown with the model, such as "Built with Llama"."""
    return list(dict.fromkeys(duty.shown for duty in decision.duties if duty.kind == "display" and duty.shown))


def license_terms(decision: LicenseDecision) -> list[str]:
    """Returns, in a few words, the terms that a permissive license does not have."""
    flags = {flag for term in decision.terms for flag in term.license.flags}
    words = (("NC", "non-commercial use only"), ("U", "use restrictions apply"), ("SA", "share-alike"))
    return [text for flag, text in words if flag in flags]


def _texts(decision: LicenseDecision, *kinds: DutyKind) -> list[str]:
    found = [duty.shown or duty.text for kind in kinds for duty in decision.duties if duty.kind == kind]
    return [_sentence(text) for text in dict.fromkeys(found)]


def _sentence(text: str) -> str:
    # The id of a repository keeps its case.
    first = text.partition(" ")[0]
    return f"{text if '/' in first else text[:1].upper() + text[1:]}".rstrip(".") + "."


_SILENT = "the author made no statement"


@dataclass(frozen=True)
class Stated:
    """One subject, and the author's statement about it if there is one.

    Attributes:
        title: The subject.
        statement: The author's words, Markdown; None if there are none.
        reason: Why it was not assessed, if there are none.
        key: The config key where the author can say it; None if the config has none.
    """

    title: str
    statement: str | None
    reason: str
    key: str | None


@dataclass(frozen=True)
class Statements:
    """Context of the sections that contain only statements."""

    items: list[Stated]


@dataclass(frozen=True)
class Assessed:
    """Context of the sections with measured values and statements.

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
    """Builds the context: intended use and misuse."""
    return Statements([stated(inputs, "Intended use", "intended_use"), stated(inputs, "Misuse", "misuse")])


def risks(inputs: CardInputs) -> Risks:
    """Builds the context: risks, and the limits of the results."""
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
    """Builds the context: ethical considerations."""
    return Statements([stated(inputs, "Ethics", "ethics")])


def stated(inputs: CardInputs, title: str, key: str) -> Stated:
    """Returns the author's statement about a subject, from a key of `card`."""
    return Stated(title, getattr(inputs.config.card, key), _SILENT, f"card.{key}")
