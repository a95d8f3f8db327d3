"""The verification record: what a stranger found out about each claim that a published release makes."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from hubtune.records.base import Record
from hubtune.records.pins import Commit

Status = Literal["confirmed", "contradicted", "unchecked"]

_LONGEST = 1_000


def one_line(text: str) -> str:
    """Returns a text as one line of bounded length without control characters, since a stranger's words are in it."""
    line = " ".join(text.split())
    shown = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in shown)


Line = Annotated[str, AfterValidator(one_line)]


class Claim(Record):
    """One thing that a release says of itself.

    Attributes:
        name: What it is about, such as `files` or `data:org/quotes`.
        status: Whether it is so; `unchecked` where that could not be found out.
        detail: What was compared, what is wrong, or why it was not checked.
    """

    name: Line
    status: Status
    detail: Line


class VerificationRecord(Record):
    """Every claim of a release.

    Attributes:
        requested: The tag, branch or commit that was asked for.
        commit: The commit that it meant, at which everything was read.
        hubtune: Version of hubtune that checked.
    """

    repo: str
    requested: str
    commit: Commit
    hubtune: str
    claims: list[Claim]

    @property
    def contradicted(self) -> list[Claim]:
        """The claims that are not so."""
        return [claim for claim in self.claims if claim.status == "contradicted"]
