"""Reads `table.toml`: what each licence asks of a release, and which licences may go together.

The table is data, so that a lawyer can read and correct it without reading code.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import license_expression
from pydantic import BaseModel, ConfigDict

Flag = Literal["A", "N", "SA", "NC", "ND", "U"]

OTHER = "other"
UNKNOWN = "unknown"
_FOLDER = Path(__file__).parent


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class License(_Entry):
    """One licence.

    Attributes:
        id: The Hub's identifier.
        name: What people call it.
        url: Where its text is published.
        flags: What it asks for; see the table's head.
        text: Whether its text ships with hubtune or has to come from the input's repository; None where there is none.
        notice: A notice that has to travel along, word for word.
        changes: The statement that the files were changed, where the licence demands one.
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
        """Whether the table says what the licence grants."""
        return self.text is not None


class LicenseTable(_Entry):
    """All licences, and the rules about pairs of them."""

    licenses: dict[str, License]
    families: dict[str, str]
    aliases: dict[str, str]
    share_alike_into: frozenset[tuple[str, str]]
    incompatible: tuple[tuple[str, str, str], ...]

    def find(self, identifier: str) -> License:
        """Returns the licence of an identifier; one without flags that is not `known` where the table lacks it.

        A family gives its strictest member's terms under its own identifier.
        """
        member = self.families.get(identifier, identifier)
        entry = self.licenses.get(member)
        if entry is not None:
            return entry if member == identifier else entry.model_copy(update={"id": identifier})
        if identifier == UNKNOWN:
            return License(id=UNKNOWN, name="no stated licence", url=None, flags=frozenset())
        name = OTHER if identifier == OTHER else identifier
        return License(id=OTHER, name=name, url=None, flags=frozenset())

    def member(self, license: License) -> str:
        """Returns the identifier whose rules about pairs apply to a licence: its own, or its family's member."""
        return self.families.get(license.id, license.id)

    def text_of(self, license: License) -> str | None:
        """Returns the licence's text, where it ships with hubtune."""
        if license.text != "texts":
            return None
        return (_FOLDER / "texts" / f"{self.member(license)}.txt").read_text(encoding="utf-8")

    def identify(self, stated: str) -> list[str]:
        """Returns the identifiers that a stated licence means: the Hub's, or those of an SPDX expression.

        An expression counts as all of its licences, also where it offers a choice.
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
