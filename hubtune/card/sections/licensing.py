"""The release's licence, the licences it was made from, and what they ask of whoever passes it on."""

from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT, CardInputs
from hubtune.card.licensing.decision import LicenseDecision
from hubtune.card.licensing.duties import DutyKind
from hubtune.card.licensing.table import license_table


@dataclass(frozen=True)
class InputLicense:
    """What one input states at a commit, shortened; `licenses` is empty where it states none."""

    kind: str
    repo: str
    commit: str | None
    licenses: list[str]
    name: str | None


@dataclass(frozen=True)
class Accepted:
    """A signed-off reason for an input whose licence grants nothing that is known."""

    repo: str
    reason: str
    by: str


@dataclass(frozen=True)
class Licensing:
    """Context of `sections/licensing.md.j2`.

    Attributes:
        title: What people call the release's licence, where that is more than its identifier.
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
        kind = "Base model" if item.kind == "base" else "Data set"
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
    """Returns the texts that have to be shown with the model, such as "Built with Llama"."""
    return list(dict.fromkeys(duty.shown for duty in decision.duties if duty.kind == "display" and duty.shown))


def license_terms(decision: LicenseDecision) -> list[str]:
    """Returns, in a few words, what sets the release's licence apart from a permissive one."""
    flags = {flag for term in decision.terms for flag in term.license.flags}
    words = (("NC", "non-commercial use only"), ("U", "use restrictions pass on"), ("SA", "share alike"))
    return [text for flag, text in words if flag in flags]


def _texts(decision: LicenseDecision, *kinds: DutyKind) -> list[str]:
    found = [duty.shown or duty.text for kind in kinds for duty in decision.duties if duty.kind == kind]
    return [_sentence(text) for text in dict.fromkeys(found)]


def _sentence(text: str) -> str:
    # The id of a repository keeps its case.
    first = text.partition(" ")[0]
    return f"{text if '/' in first else text[:1].upper() + text[1:]}".rstrip(".") + "."
