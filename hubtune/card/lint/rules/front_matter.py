"""Whether there is metadata that can be read."""

from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule
from hubtune.metadata.front_matter import NotAMappingError


@rule("front-matter-missing")
def missing(card: Card) -> Iterator[Hit]:
    """The card begins with metadata between two lines of ---."""
    if card.front is None and card.fault is None:
        opened = card.block is None and card.text.lstrip().startswith("---\n")
        said = "is never closed" if opened else "is missing; a card begins with YAML between two lines of ---"
        yield Hit(1, f"the metadata {said}")


@rule("front-matter-yaml")
def not_yaml(card: Card) -> Iterator[Hit]:
    """The metadata is YAML."""
    if card.fault is None or isinstance(card.fault, NotAMappingError) or card.block is None:
        return
    yield Hit(card.block.first_line + (card.fault.line or 1) - 1, f"the metadata {card.fault.problem}")


@rule("front-matter-mapping")
def not_a_mapping(card: Card) -> Iterator[Hit]:
    """The metadata is a mapping of keys to values."""
    if isinstance(card.fault, NotAMappingError) and card.block is not None:
        yield Hit(card.block.first_line, "the metadata has to be keys with values, such as `license: mit`")


@rule("front-matter-duplicate-key")
def duplicate_key(card: Card) -> Iterator[Hit]:
    """No key stands twice."""
    for key, line in card.front.duplicates if card.front else ():
        yield Hit(line, f"`{key}` is here a second time; readers keep one of the two values")
