"""A card taken apart once: its metadata and its Markdown, as all rules look at them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hubtune.card.lint.document import Document, parse_document
from hubtune.card.lint.source import CardSource
from hubtune.documents import UnreadableError
from hubtune.metadata.front_matter import (
    Block,
    FrontMatter,
    KeyPath,
    find_block,
    read_block,
    texts,
)
from hubtune.records.pins import RepoType

OWN_TAG = "hubtune"
LONGEST_LINE = 20_000
# Keys that only cards of data sets have, and only cards of models.
_DATA_KEYS = frozenset({"task_categories", "task_ids", "size_categories", "dataset_info", "configs", "source_datasets"})
_MODEL_KEYS = frozenset({"library_name", "pipeline_tag", "base_model", "model-index", "datasets"})


@dataclass(frozen=True)
class Card:
    """A card that is text.

    Attributes:
        text: The card with line feeds alone as line ends.
        block: Its front matter as text; None where there is none.
        front: What the front matter says; None where it says nothing or cannot be read.
        fault: Why it cannot be read.
        always_own: Whether it counts as hubtune's own, whatever its tags say.
    """

    source: CardSource
    text: str
    block: Block | None
    front: FrontMatter | None
    fault: UnreadableError | None
    always_own: bool = False

    @cached_property
    def data(self) -> Mapping[str, object]:
        """The metadata; empty where there is none."""
        return self.front.data if self.front else {}

    @cached_property
    def kind(self) -> RepoType:
        """What the card is of."""
        if self.source.kind is not None:
            return self.source.kind
        return "dataset" if _DATA_KEYS & set(self.data) and not _MODEL_KEYS & set(self.data) else "model"

    @cached_property
    def own(self) -> bool:
        """Whether hubtune wrote the card."""
        return self.always_own or OWN_TAG in texts(self.data, "tags")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the whole card; those that are too long to look into are empty."""
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
    """Takes a card apart; never fails."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    block = find_block(text)
    front, fault = None, None
    try:
        front = read_block(block) if block else None
    except UnreadableError as error:
        fault = error
    return Card(source, text, block, front, fault, always_own=own)
