"""The card as rules read it: its source, metadata and Markdown, and the license in its LICENSE file."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hubtune.card.lint.document import Document, parse_document
from hubtune.config.fields import LICENSE_IDS
from hubtune.documents import KeyPath, UnreadableError
from hubtune.errors import CardError
from hubtune.metadata import front_matter
from hubtune.records.base import LicensedInput, RepoType

MOST_BYTES = 1_000_000
"""The largest card that is looked into; the Hub's own pages show no more."""


@dataclass(frozen=True)
class CardSource:
    """A card and its surroundings.

    Attributes:
        content: The card, or its first bytes if it is longer than `MOST_BYTES`.
        kind: What the card is of; None lets its metadata say.
        name: The repository's name without its owner, if it is known.
        exists: Says whether a path is a file or folder of the repository; None if nothing is known of its files.
        license_texts: Name to text of the license files at the top of the repository.
        inputs: What the named base models and datasets say of their licenses; None if nobody asked.
        unread: Inputs whose license could not be read, each with the reason.
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


OWN_TAG = "hubtune"
LONGEST_LINE = 20_000
# Keys that only cards of datasets have, and only cards of models.
_DATA_KEYS = frozenset({"task_categories", "task_ids", "size_categories", "dataset_info", "configs", "source_datasets"})
_MODEL_KEYS = frozenset({"library_name", "pipeline_tag", "base_model", "model-index", "datasets"})


@dataclass(frozen=True)
class Card:
    """A card that is text.

    Attributes:
        text: The card with line feeds alone as line ends.
        block: Its front matter as text; None if there is none.
        front: What the front matter says; None if it says nothing or cannot be read.
        fault: Why it cannot be read.
        always_own: Whether it counts as hubtune's own, whatever its tags say.
    """

    source: CardSource
    text: str
    block: front_matter.Block | None
    front: front_matter.FrontMatter | None
    fault: UnreadableError | None
    always_own: bool = False

    @cached_property
    def data(self) -> Mapping[str, object]:
        """The metadata; empty if there is none."""
        return self.front.data if self.front else {}

    @cached_property
    def kind(self) -> RepoType:
        """The repository type of the card."""
        if self.source.kind is not None:
            return self.source.kind
        return "dataset" if _DATA_KEYS & set(self.data) and not _MODEL_KEYS & set(self.data) else "model"

    @cached_property
    def own(self) -> bool:
        """Whether hubtune wrote the card."""
        return self.always_own or OWN_TAG in front_matter.texts(self.data, "tags")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the card; lines that are too long to check are empty."""
        return [line if len(line) <= LONGEST_LINE else "" for line in self.text.split("\n")]

    @cached_property
    def body(self) -> str:
        """The card with its metadata emptied, so that lines keep their numbers."""
        if self.block is None:
            return "\n".join(self.lines)
        over = self.text.count("\n", 0, self.block.end)
        return "\n".join([""] * over + self.lines[over:])

    @cached_property
    def document(self) -> Document:
        """The Markdown."""
        return parse_document(self.body)

    def line(self, *path: str | int) -> int:
        """Returns the line of a key of the metadata."""
        place: KeyPath = path
        return self.front.line(place) if self.front else 1


def read_card(source: CardSource, text: str, *, own: bool = False) -> Card:
    """Parses a card; never fails."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    block = front_matter.find_block(text)
    front, fault = None, None
    try:
        front = front_matter.read_block(block) if block else None
    except UnreadableError as error:
        fault = error
    return Card(source, text, block, front, fault, always_own=own)


CARD_NAME = "README.md"
LICENSE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "COPYING.txt")
"""Files that hold the license of the repository itself; others may hold those of its parts."""
MOST_LICENSE_BYTES = 200_000


def read_folder(path: Path, kind: RepoType | None = None) -> CardSource:
    """Returns the card of a folder, or a card's file, with the files next to it.

    Raises:
        CardError: There is no card, or it cannot be read.
    """
    try:
        file = path / CARD_NAME if path.is_dir() else path
        if not file.is_file():
            raise CardError(f"There is no {file}.", hint="Give a folder with a README.md, or the file itself.")
        folder = file.parent
        content = _head(file, MOST_BYTES + 1)
        licenses = {
            name: _head(folder / name, MOST_LICENSE_BYTES).decode(errors="replace")
            for name in LICENSE_NAMES
            if (folder / name).is_file()
        }
        # The files that a run's card names are next to it when it is published.
        is_run = (folder / "pins.json").is_file()
    except OSError as error:
        raise CardError(
            f"The card of {path} cannot be read: {error.strerror}.",
            hint="Give a folder with a README.md that you can read, or the file itself.",
        ) from error
    return CardSource(
        content, kind, path=str(file), exists=None if is_run else _looks_in(folder), license_texts=licenses
    )


def _looks_in(folder: Path) -> Callable[[str], bool]:
    def exists(name: str) -> bool:
        try:
            return (folder / name).exists()
        except (OSError, ValueError):
            # Too long a name, or one with a null character, is no file's.
            return False

    return exists


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


_LOOKED_AT = 200_000


def _title(words: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t#*=<>-]{{0,80}}(?:the )?{words}", re.IGNORECASE | re.MULTILINE)


_TITLES = tuple(
    (_title(words), license)
    for words, license in (
        (r"apache license,?\s{1,80}version 2\.0", "apache-2.0"),
        (r"mit license\b", "mit"),
        (r"permission is hereby granted, free of charge, to any person obtaining", "mit"),
        (r"isc license\b", "isc"),
        (r"bsd 2-clause", "bsd-2-clause"),
        (r"bsd 3-clause", "bsd-3-clause"),
        (r"gnu affero general public license\s{1,80}version 3", "agpl-3.0"),
        (r"gnu lesser general public license\s{1,80}version 3", "lgpl-3.0"),
        (r"gnu lesser general public license\s{1,80}version 2\.1", "lgpl-2.1"),
        (r"gnu general public license\s{1,80}version 3", "gpl-3.0"),
        (r"gnu general public license\s{1,80}version 2", "gpl-2.0"),
        (r"mozilla public license,?\s{1,80}version 2\.0", "mpl-2.0"),
        (r"this is free and unencumbered software", "unlicense"),
        (r"odc open database license", "odbl"),
        (r"open database license", "odbl"),
        (r"odc attribution license", "odc-by"),
        (r"open data commons attribution license", "odc-by"),
        (r"(?:odc|open data commons) public domain dedication (?:and|&) licen[cs]e", "pddl"),
        (r"do what the fuck you want to public license", "wtfpl"),
        (r"(?:creative commons )?(?:legal code\s{1,80})?cc0 1\.0 universal", "cc0-1.0"),
        (r"creativeml open rail-m", "creativeml-openrail-m"),
        (r"bigscience (?:open )?rail", "bigscience-bloom-rail-1.0"),
        (r"llama 2 community license", "llama2"),
        (r"(?:meta )?llama 3 community license", "llama3"),
        (r"llama 3\.1 community license", "llama3.1"),
        (r"llama 3\.2 community license", "llama3.2"),
        (r"llama 3\.3 community license", "llama3.3"),
        (r"llama 4 community license", "llama4"),
        (r"gemma terms of use", "gemma"),
    )
)
_CREATIVE_COMMONS = re.compile(
    r"^[ \t#*=-]{0,80}(?:creative commons )?attribution(-noncommercial)?(?:-(sharealike|noderiv\w{1,10}))? "
    r"(\d\.\d)",
    re.IGNORECASE | re.MULTILINE,
)
_BSD = re.compile(r"redistribution and use in source and binary forms", re.IGNORECASE)
_BSD_THIRD = re.compile(r"neither the names? of", re.IGNORECASE)
_FAMILIES = {"cc": "cc-", "gpl": "gpl-", "lgpl": "lgpl-", "bsd": "bsd-", "openrail": "openrail"}


def licenses_in(text: str) -> frozenset[str]:
    """Returns the identifiers of the licenses whose titles are in a text; none if none is recognized."""
    text = text[:_LOOKED_AT]
    found = {license for pattern, license in _TITLES if pattern.search(text)}
    for match in _CREATIVE_COMMONS.finditer(text):
        limit = "-sa" if (match[2] or "").lower() == "sharealike" else "-nd" if match[2] else ""
        found.add(f"cc-by{'-nc' if match[1] else ''}{limit}-{match[3]}")
    if _BSD.search(text) and not found:
        found.add("bsd-3-clause" if _BSD_THIRD.search(text) else "bsd-2-clause")
    return frozenset(found)


def family(license: str) -> frozenset[str]:
    """Returns the identifiers that a license can mean: for a family, all members."""
    mark = _FAMILIES.get(license)
    members = frozenset(known for known in LICENSE_IDS if mark and known.startswith(mark))
    return members | {license}
