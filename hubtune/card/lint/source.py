"""A card as it was found: its bytes, and what the rules may ask about the repository around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hubtune.records.licenses import LicensedInput
from hubtune.records.pins import RepoType

MOST_BYTES = 1_000_000
"""The largest card that is looked into; the Hub's own pages show no more."""


@dataclass(frozen=True)
class CardSource:
    """A card and its surroundings.

    Attributes:
        content: The card, or its first bytes where it is longer than `MOST_BYTES`.
        kind: What the card is of; None lets its metadata say.
        name: The repository's name without its owner, where it is known.
        exists: Says whether a path is a file or folder of the repository; None where nothing is known of its files.
        license_texts: Name to text of the licence files at the top of the repository.
        inputs: What the named base models and data sets say of their licences; None where nobody asked.
        unread: Inputs whose licence could not be read, each with the reason.
    """

    content: bytes
    kind: RepoType | None = None
    path: str | None = None
    repo: str | None = None
    commit: str | None = None
    name: str | None = None
    exists: Callable[[str], bool] | None = None
    license_texts: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[LicensedInput, ...] | None = None
    unread: tuple[str, ...] = ()
