"""What the licences of the inputs ask a release to show or ship."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hubtune.card.licensing.table import License
from hubtune.config.schema import AcceptedLicense
from hubtune.records.licenses import LicensedInput

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
    """One thing that the release owes.

    Attributes:
        text: The duty in words.
        shown: The text that has to be shown word for word, where there is one.
    """

    kind: DutyKind
    text: str
    shown: str | None = None


def duties_of(terms: Sequence[tuple[LicensedInput, License]], accepted: Sequence[AcceptedLicense]) -> tuple[Duty, ...]:
    """Returns the duties of all licences, each once, in the order of the inputs."""
    found = [duty for item, license in terms for duty in _duties(item, license)]
    found += [
        Duty("accepted", f"Show the signed-off reason for {entry.repo}, by {entry.by}: {entry.reason}")
        for entry in accepted
    ]
    return tuple(dict.fromkeys(found))


def attribution(item: LicensedInput, *licenses: License) -> str:
    """Returns the line that names an input, its pinned revision and its licences."""
    revision = f" at revision {item.commit}" if item.commit else ""
    named = [
        f"{license.name} ({license.url})" if license.url else license.name for license in licenses if license.known
    ]
    own = item.license_name or (item.licenses[0] if item.licenses else None)
    if not named and own is None:
        return f"{item.label}{revision}, which states no licence"
    return f"{item.label}{revision}, licensed under {' and '.join(named) or own}"


def _duties(item: LicensedInput, license: License) -> Iterator[Duty]:
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
            f"Put the release under the licence of {item.label}, {license.name}, or its successor",
            "Changed versions that are passed on stay under the same licence.",
        )
    if "NC" in flags:
        yield Duty(
            "non_commercial",
            f"Say plainly that use is non-commercial, as {license.name} of {item.label} demands",
            "Use of this release is non-commercial only.",
        )
    if license.restrictions:
        yield Duty(
            "use_restrictions",
            f"Pass on {license.restrictions}",
            f"Whoever uses this release keeps to {license.restrictions}, and passes that on with it.",
        )
    yield from (Duty("clause", f"Show: {clause}", clause) for clause in license.clauses)
    if license.display:
        yield Duty("display", f'Show "{license.display}" with the model', license.display)
    if license.name_prefix:
        yield Duty(
            "name_prefix",
            f'Begin the model\'s name with "{license.name_prefix}"',
            f'Models made from this one have names that begin with "{license.name_prefix}".',
        )
