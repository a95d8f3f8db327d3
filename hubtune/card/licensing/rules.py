"""The license table, and the rules that can refuse a release: about one license, a pair, or the stated license."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Literal

import license_expression
from pydantic import BaseModel, ConfigDict

from hubtune.config.schema import AcceptedLicense
from hubtune.records.base import LicensedInput

Flag = Literal["A", "N", "SA", "NC", "ND", "U"]

OTHER = "other"
UNKNOWN = "unknown"
_FOLDER = Path(__file__).parent


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class License(_Entry):
    """One license.

    Attributes:
        id: The Hub's identifier.
        name: What people call it.
        url: Where its text is published.
        flags: What it asks for; see the table's head.
        text: Whether its text ships with hubtune or has to come from the input's repository; None if there is none.
        notice: A notice that has to travel along, word for word.
        changes: The statement that the files were changed, if the license demands one.
        restrictions: The use restrictions that pass on.
        display: A text that has to be shown with the model.
        name_prefix: How the model's name has to begin.
        clauses: Further terms that a reader has to know.
    """

    id: str
    name: str
    url: str | None
    flags: frozenset[Flag]
    text: Literal["texts", "input"] | None = None
    notice: str | None = None
    changes: str | None = None
    restrictions: str | None = None
    display: str | None = None
    name_prefix: str | None = None
    clauses: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the table says what the license grants."""
        return self.text is not None


class LicenseTable(_Entry):
    """All licenses, and the rules about pairs of them."""

    licenses: dict[str, License]
    families: dict[str, str]
    aliases: dict[str, str]
    share_alike_into: frozenset[tuple[str, str]]
    incompatible: tuple[tuple[str, str, str], ...]

    def find(self, identifier: str) -> License:
        """Returns the license of an identifier; one without flags that is not `known` if the table lacks it.

        A family gives its strictest member's terms under its own identifier.
        """
        member = self.families.get(identifier, identifier)
        entry = self.licenses.get(member)
        if entry is not None:
            return entry if member == identifier else entry.model_copy(update={"id": identifier})
        if identifier == UNKNOWN:
            return License(id=UNKNOWN, name="no stated license", url=None, flags=frozenset())
        name = OTHER if identifier == OTHER else identifier
        return License(id=OTHER, name=name, url=None, flags=frozenset())

    def member(self, license: License) -> str:
        """Returns the identifier whose rules about pairs apply to a license: its own, or its family's member."""
        return self.families.get(license.id, license.id)

    def text_of(self, license: License) -> str | None:
        """Returns the licence's text, if it ships with hubtune."""
        if license.text != "texts":
            return None
        return (_FOLDER / "texts" / f"{self.member(license)}.txt").read_text(encoding="utf-8")

    def identify(self, stated: str) -> list[str]:
        """Returns the identifiers that a stated license means: the Hub's, or those of an SPDX expression.

        An expression counts as all of its licenses, even if it offers a choice.
        """
        identifier = stated.strip().lower()
        if not identifier:
            return [UNKNOWN]
        if identifier in self.licenses or identifier in self.families or identifier in (OTHER, UNKNOWN):
            return [identifier]
        try:
            keys = _spdx().license_keys(stated.strip(), unique=True)
        except (license_expression.ExpressionError, LookupError, ValueError, TypeError, AttributeError):
            return [identifier]
        found = [key.lower() for key in keys] or [identifier]
        return [self.aliases.get(key, key) for key in found]


@cache
def license_table() -> LicenseTable:
    """Returns the table that ships with hubtune."""
    content = tomllib.loads((_FOLDER / "table.toml").read_text(encoding="utf-8"))
    licenses = {key: License(id=key, **entry) for key, entry in content["licenses"].items()}
    return LicenseTable(
        licenses=licenses,
        families=content["families"],
        aliases=content["aliases"],
        share_alike_into=frozenset((source, target) for source, target in content["share_alike_into"]),
        incompatible=tuple((first, second, reason) for first, second, reason in content["incompatible"]),
    )


@cache
def _spdx() -> license_expression.Licensing:
    return license_expression.get_spdx_licensing()


_SEPARATORS = re.compile(r"[\s._-]+")


@dataclass(frozen=True)
class Term:
    """One license of one input."""

    input: LicensedInput
    license: License


def against_unknown(terms: Sequence[Term], accepted: Sequence[AcceptedLicense]) -> Iterator[str]:
    """Yields objections to inputs without a known grant that nobody signed off."""
    signed = {entry.repo for entry in accepted}
    for term in terms:
        if term.license.known:
            continue
        where = term.input.label
        linked = (term.input.license_link or "").startswith(("http://", "https://"))
        if term.license.id == OTHER and not (term.input.license_files or linked):
            yield (
                f"{where} has its own license ({term.input.license_name or term.license.name}), and its "
                "repository has neither the license text nor a license_link"
            )
        if term.input.label not in signed:
            stated = "states no license" if term.license.id == UNKNOWN else f"is under {term.license.name!r}"
            yield (
                f"{where} {stated}, so no license grant is known; if you have permission, say so in "
                "card.accept_license (repo, reason, by)"
            )


def against_missing_texts(terms: Sequence[Term]) -> Iterator[str]:
    """Yields repositories that lack a license text which must be included and which only they could have."""
    for term in terms:
        if term.license.text == "input" and term.input.repo is not None and not term.input.license_files:
            yield (
                f"{term.license.name} of {term.input.label} requires a copy of the license, and the repository has no "
                "LICENSE file at that commit"
            )


def against_name(terms: Sequence[Term], name: str | None) -> Iterator[str]:
    """Yields licenses that require another beginning of the release's name; none if the name is not known."""
    for term in terms:
        prefix = term.license.name_prefix
        if name is not None and prefix and not _begins(name, prefix):
            yield (
                f'{term.license.name} of {term.input.label} requires a name that begins with "{prefix}", and the '
                f"name of the release is {name}"
            )


def _begins(name: str, prefix: str) -> bool:
    """Whether a repository's name begins with a prefix: "Llama 3" is written Llama-3, Llama3 or llama_3 there."""
    return _SEPARATORS.sub("", name).lower().startswith(_SEPARATORS.sub("", prefix).lower())


def against_one(terms: Sequence[Term]) -> Iterator[str]:
    """Yields objections to single licenses."""
    for term in terms:
        if "ND" in term.license.flags:
            yield f"{term.license.name} of {term.input.label} allows no derivatives, and a fine-tuned model is one"


def against_pairs(licenses: Sequence[License]) -> Iterator[str]:
    """Yields objections to pairs of licenses; a license is always compatible with itself."""
    table = license_table()
    unique = sorted({license.id: license for license in licenses}.values(), key=lambda license: license.id)
    for first, second in combinations(unique, 2):
        for one, two in ((first, second), (second, first)):
            if "SA" in one.flags and "NC" not in one.flags and "NC" in two.flags:
                yield f"{one.name} requires the same license for the release, and {two.name} forbids commercial use"
            if "SA" in one.flags and "U" in two.flags:
                yield f"{one.name} allows no further restrictions, and {two.name} passes on its use restrictions"
        pair = (table.member(first), table.member(second))
        apart = "SA" in first.flags & second.flags and not (flows_into(*pair) or flows_into(*pair[::-1]))
        if apart:
            yield f"{first.name} and {second.name} each require their own license for the release"
        yield from (
            f"{first.name} and {second.name} are incompatible: {reason}"
            for one_id, two_id, reason in table.incompatible
            if {one_id, two_id} == set(pair)
        )


def against_share_alike_of_the_unknown(terms: Sequence[Term]) -> Iterator[str]:
    """Yields share-alike licenses next to unknown terms, which may add restrictions."""
    if all(term.license.known for term in terms):
        return
    for term in terms:
        if "SA" in term.license.flags:
            yield (
                f"{term.license.name} of {term.input.label} requires the same license for the whole release, and the "
                "terms of another input are not known"
            )


def against_missing_stated_text(terms: Sequence[Term], wanted: str) -> Iterator[str]:
    """Yields a stated license whose text cannot be included: neither hubtune nor an input has it."""
    license = license_table().find(wanted)
    real = any(term.input.repo is not None for term in terms)
    held = any(term.license.id == wanted and term.input.license_files for term in terms)
    if real and wanted not in (OTHER, UNKNOWN) and license.text != "texts" and not held:
        yield f"{wanted} cannot be the license: its text must be in the release, and hubtune and the inputs lack it"


def against_stated(terms: Sequence[Term], wanted: str, result: str | None) -> Iterator[str]:
    """Yields objections to the license that the author states; `result` is the license that `auto` selects."""
    table = license_table()
    release = table.find(wanted)
    if wanted == UNKNOWN and result != UNKNOWN:
        yield "a release cannot state `unknown`; state a license, or auto"
        return
    if any(term.input.kind == "base" and not term.license.known for term in terms) and wanted not in (OTHER, UNKNOWN):
        yield (
            f"{wanted} cannot be the license: it is not known what the base model's terms grant, so they still apply; "
            "use auto"
        )
    missing: tuple[tuple[Flag, str], ...] = (
        ("NC", "forbids commercial use"),
        ("SA", "requires the same license for the release"),
        ("U", "passes on its use restrictions"),
    )
    for term in terms:
        for flag, demand in missing:
            # A release under `other` carries the texts of all inputs, and so all but the demand for one license alone.
            carried = wanted == OTHER and flag != "SA"
            if flag in term.license.flags and flag not in release.flags and not carried:
                yield f"{wanted} cannot be the license: {term.license.name} of {term.input.label} {demand}"
        both = "SA" in term.license.flags & release.flags
        if both and not flows_into(table.member(term.license), table.member(release)):
            yield (
                f"{wanted} cannot be the license: {term.license.name} of {term.input.label} requires the same "
                "license for the release"
            )
        if "U" in term.license.flags and "U" in release.flags and term.license.id != release.id:
            yield (
                f"{wanted} cannot be the license: it does not include the use restrictions of {term.license.name}, "
                f"which {term.input.label} is under"
            )
    yield from against_pairs([*(term.license for term in terms if term.license.flags), release])


def flows_into(source: str, target: str) -> bool:
    """Whether work under the share-alike license `source` can be licensed under `target`."""
    return source == target or (source, target) in license_table().share_alike_into
