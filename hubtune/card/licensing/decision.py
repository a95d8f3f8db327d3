"""Decides which license a release may have, and its duties, from the licenses of its inputs. Not legal advice.

An adapter counts as a derivative of its base model and of its data. The verdict is the strictest over all licenses and
all pairs of them. So order and repetition do not matter, and another input can only make the verdict stricter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hubtune.card.licensing import rules
from hubtune.config.schema import AcceptedLicense
from hubtune.records.base import LicensedInput

DutyKind = Literal[
    "attribution",
    "license_text",
    "changes",
    "notice",
    "share_alike",
    "non_commercial",
    "use_restrictions",
    "clause",
    "display",
    "name_prefix",
    "accepted",
]


@dataclass(frozen=True)
class Duty:
    """One duty of the release.

    Attributes:
        text: The duty in words.
        shown: The text that has to be shown word for word, if there is one.
    """

    kind: DutyKind
    text: str
    shown: str | None = None


def duties_of(
    terms: Sequence[tuple[LicensedInput, rules.License]], accepted: Sequence[AcceptedLicense]
) -> tuple[Duty, ...]:
    """Returns the duties of all licenses, each once, in the order of the inputs."""
    found = [duty for item, license in terms for duty in _duties(item, license)]
    found += [
        Duty("accepted", f"Show the signed-off reason for {entry.repo}, by {entry.by}: {entry.reason}")
        for entry in accepted
    ]
    return tuple(dict.fromkeys(found))


def attribution(item: LicensedInput, *licenses: rules.License) -> str:
    """Returns the line that names an input, its pinned revision and its licenses."""
    revision = f" at revision {item.commit}" if item.commit else ""
    named = [
        f"{license.name} ({license.url})" if license.url else license.name for license in licenses if license.known
    ]
    own = item.license_name or (item.licenses[0] if item.licenses else None)
    if not named and own is None:
        return f"{item.label}{revision}, which states no license"
    return f"{item.label}{revision}, licensed under {' and '.join(named) or own}"


def _duties(item: LicensedInput, license: rules.License) -> Iterator[Duty]:
    flags = license.flags
    if "A" in flags:
        yield Duty("attribution", f"Name the source: {attribution(item, license)}")
    if "N" in flags:
        yield Duty("license_text", f"Ship the text of the {license.name}, with the notices of {item.label}")
    if license.changes:
        yield Duty("changes", f"State the change: {license.changes}", license.changes)
    if license.notice:
        yield Duty("notice", f"Ship the notice: {license.notice}", license.notice)
    if "SA" in flags:
        yield Duty(
            "share_alike",
            f"Put the release under the license of {item.label}, {license.name}, or its successor",
            "Modified versions must be distributed under the same license.",
        )
    if "NC" in flags:
        yield Duty(
            "non_commercial",
            f"State that use is non-commercial, as {license.name} of {item.label} requires",
            "This release may be used for non-commercial purposes only.",
        )
    if license.restrictions:
        yield Duty(
            "use_restrictions",
            f"Pass on {license.restrictions}",
            f"Anyone who uses or redistributes this release must comply with {license.restrictions}, "
            "and must pass on this requirement.",
        )
    yield from (Duty("clause", f"Show: {clause}", clause) for clause in license.clauses)
    if license.display:
        yield Duty("display", f'Show "{license.display}" with the model', license.display)
    if license.name_prefix:
        yield Duty(
            "name_prefix",
            f'Begin the model\'s name with "{license.name_prefix}"',
            f'Names of models made from this one must begin with "{license.name_prefix}".',
        )


Verdict = Literal["allowed", "duties", "refused"]

NON_COMMERCIAL = "cc-by-nc-4.0"
COMBINED_NAME = "combined-terms"


@dataclass(frozen=True)
class LicenseDecision:
    """The decision.

    Attributes:
        verdict: Allowed; allowed with duties that go beyond naming sources; or refused.
        license: The release's license by the Hub's identifier; None if it is refused.
        license_name: What the card calls a license that has no identifier.
        license_link: Where its text is: a file of the release, or an address.
        duties: What the release has to show or ship.
        reasons: Why, a sentence each; of a refusal, the refusals alone.
        accepted: The signed-off reasons that it rests on.
        terms: The licenses of all inputs.
    """

    verdict: Verdict
    license: str | None
    license_name: str | None
    license_link: str | None
    duties: tuple[Duty, ...]
    reasons: tuple[str, ...]
    accepted: tuple[AcceptedLicense, ...]
    terms: tuple[rules.Term, ...]

    @property
    def attributions(self) -> list[str]:
        """A line for each input with its revision and its licenses."""
        licenses: dict[str, list[rules.Term]] = {}
        for term in self.terms:
            licenses.setdefault(term.input.model_dump_json(), []).append(term)
        return [attribution(group[0].input, *(term.license for term in group)) for group in licenses.values()]


@dataclass(frozen=True)
class OtherTerms:
    """The name and the link of license terms without an identifier (`other`)."""

    name: str | None = None
    link: str | None = None


def decide(
    inputs: Sequence[LicensedInput],
    wanted: str = "auto",
    *,
    name: str | None = None,
    accepted: Sequence[AcceptedLicense] = (),
    other: OtherTerms = OtherTerms(),
) -> LicenseDecision:
    """Decides on a release made from `inputs`.

    Args:
        inputs: The base model and the datasets.
        wanted: The license that the author states, or `auto`.
        name: The release's name without its owner, if it is known: some licenses say how it has to begin.
        accepted: Signed-off reasons for inputs whose license grants nothing that is known.
        other: Name and link of the terms, if the release states `other`.
    """
    terms = tuple(sorted(_terms(inputs), key=lambda term: (term.input.kind, term.input.label, term.license.id)))
    unclear = {term.input.label for term in terms if not term.license.known}
    used = tuple(entry for entry in accepted if entry.repo in unclear)
    refusals = [
        *rules.against_unknown(terms, accepted),
        *rules.against_one(terms),
        *rules.against_pairs([term.license for term in terms]),
        *rules.against_missing_texts(terms),
        *rules.against_share_alike_of_the_unknown(terms),
        *rules.against_name(terms, name),
    ]
    result = None if refusals else _resulting(terms)
    if wanted != "auto":
        refusals += [*rules.against_stated(terms, wanted, result), *rules.against_missing_stated_text(terms, wanted)]
        result = wanted
    duties = duties_of([(term.input, term.license) for term in terms], used)
    if refusals:
        return LicenseDecision("refused", None, None, None, duties, tuple(dict.fromkeys(refusals)), used, terms)
    assert result is not None, "a release without refusals has a license"
    shown, link = _name_and_link(terms, result, other)
    verdict: Verdict = "duties" if _beyond_naming(terms, result) else "allowed"
    reasons = tuple(_reasons(terms, result, stated=wanted != "auto"))
    return LicenseDecision(verdict, result, shown, link, duties, reasons, used, terms)


def _terms(inputs: Sequence[LicensedInput]) -> Iterator[rules.Term]:
    table = rules.license_table()
    for item in inputs:
        stated = [identifier for entry in item.licenses for identifier in table.identify(entry)] or [rules.UNKNOWN]
        for identifier in dict.fromkeys(stated):
            yield rules.Term(item, table.find(identifier))


def _resulting(terms: Sequence[rules.Term]) -> str:
    """Returns the license that `auto` gives; nothing stands against the inputs."""
    base = {term.license.id: term.license for term in terms if term.input.kind == "base"}
    every = {term.license.id: term.license for term in terms}
    own = next(iter(base.values())) if len(base) == 1 else None
    share_alike = [license for license in every.values() if "SA" in license.flags]
    if share_alike:
        return _share_alike_target(share_alike)
    flags = _flags(terms)
    if "NC" in flags:
        if "U" in flags or (own is not None and not own.known) or len(base) > 1:
            return rules.OTHER
        return own.id if own is not None and "NC" in own.flags else NON_COMMERCIAL
    if "U" in flags:
        restricted = {license.id for license in every.values() if "U" in license.flags}
        plain_base = own is None or own.known
        return restricted.pop() if len(restricted) == 1 and plain_base and len(base) <= 1 else rules.OTHER
    if own is not None:
        return own.id
    if base:
        return rules.OTHER
    return min(every) if len(every) == 1 else rules.OTHER


def _share_alike_target(licenses: Sequence[rules.License]) -> str:
    table = rules.license_table()
    for target in sorted(licenses, key=lambda license: license.id):
        if all(rules.flows_into(table.member(source), table.member(target)) for source in licenses):
            return target.id
    raise AssertionError("share-alike licenses that are compatible pair by pair have one that takes all")


def _beyond_naming(terms: Sequence[rules.Term], result: str) -> bool:
    base = {term.license.id for term in terms if term.input.kind == "base"}
    for term in terms:
        tight = term.license.flags & ({"U"} if term.input.kind == "base" else {"U", "NC", "SA"})
        if tight or not term.license.known:
            return True
    return bool(base) and base != {result} and bool(_flags(terms) & {"U", "NC", "SA"})


def _flags(terms: Sequence[rules.Term]) -> frozenset[rules.Flag]:
    return frozenset(flag for term in terms for flag in term.license.flags)


def _name_and_link(terms: Sequence[rules.Term], result: str, other: OtherTerms) -> tuple[str | None, str | None]:
    """Returns name and link of a license that has no identifier of its own."""
    if result != rules.OTHER:
        return None, None
    link = other.link or "LICENSE"
    base = [term for term in terms if term.input.kind == "base"]
    if (
        other.name is None
        and len(base) == 1
        and base[0].license.id == rules.OTHER
        and not _flags(terms) & {"NC", "U", "SA"}
    ):
        # Nothing is added to the base model's own terms, so their name goes on.
        stated = base[0].license.name if base[0].license.name != rules.OTHER else None
        return base[0].input.license_name or stated or COMBINED_NAME, link
    return other.name or COMBINED_NAME, link


def _reasons(terms: Sequence[rules.Term], result: str, *, stated: bool) -> Iterator[str]:
    for term in terms:
        if not term.license.known:
            yield f"{term.input.label}: no license grant is known, so its use rests on a signed-off reason"
        for flag, reason in (
            ("SA", "requires the same license for the release"),
            ("NC", "forbids commercial use"),
            ("U", "passes on its use restrictions"),
        ):
            if flag in term.license.flags:
                yield f"{term.license.name} of {term.input.label} {reason}"
    if stated:
        yield f"the author states {result}, which the inputs allow"
    elif any(term.input.kind == "base" and term.license.id == result for term in terms):
        yield f"the release keeps the license of the base model, {result}"
    elif result == rules.OTHER:
        yield "no single license covers the terms of all inputs, so the release states `other` with their texts"
    else:
        yield f"therefore the release is under {result}"
