"""Reads the front matter of a card as the Hub does, with the line of each of its keys.

All code that reads cards uses it: the Hub's answers, the lint, the license check and the metadata of published cards.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from hubtune.documents import Bounds, KeyLines, KeyPath, UnreadableError, load_yaml, show_path

# Two searches for what would be one pattern, in which long runs of line ends had cubic cost.
_START = re.compile(r"\ufeff?\s*---[\r\n]")
_END = re.compile(r"[\r\n]---(?:\r\n|\n|\Z)")
_BOOLEAN = "tag:yaml.org,2002:bool"
_DEEPEST = 50
# Beyond this JSON's numbers are not whole ones to most readers, and Python refuses to write the longest.
_LARGEST = 1 << 64
_BOUNDS = Bounds(size=512 << 10, depth=_DEEPEST, values=100_000)


class _CardLoader(yaml.SafeLoader):
    """Reads words as the Hub does: by YAML 1.2, where `no` is the code of Norwegian and not false."""


_CardLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_CardLoader.add_implicit_resolver(_BOOLEAN, re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


@dataclass(frozen=True)
class Block:
    """The text of a front matter within its card.

    Attributes:
        first_line: Number of the card's line on which the text begins, from 1.
        end: Position of the first character after the closing line.
    """

    text: str
    first_line: int
    end: int


@dataclass(frozen=True)
class FrontMatter:
    """What a front matter says.

    Attributes:
        data: Its values, as JSON has them.
        lines: The card's line of each key and list item.
        duplicates: Keys that is duplicated in one mapping, with the line of the second.
    """

    data: Mapping[str, object]
    lines: Mapping[KeyPath, int]
    duplicates: tuple[tuple[str, int], ...]

    def line(self, path: KeyPath) -> int:
        """Returns the line of a value, or that of the nearest value around it."""
        return next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 1)


def find_block(text: str) -> Block | None:
    """Returns the front matter of a card as text, or None if there is none."""
    start = _START.match(text)
    end = _END.search(text, start.end()) if start else None
    if start is None or end is None:
        return None
    inner = text[start.end() : end.start()].rstrip("\r\n")
    return Block(inner, first_line=text.count("\n", 0, start.end()) + 1, end=end.end())


def read_block(block: Block) -> FrontMatter | None:
    """Returns the contents of a front matter, or None if it is empty.

    Raises:
        UnreadableError: It is not YAML, not a mapping, or beyond the bounds.
    """
    loaded = load_yaml(block.text, bounds=_BOUNDS, loader=_CardLoader)
    if loaded is None or loaded.value is None:
        return None
    if not isinstance(loaded.value, dict):
        raise NotAMappingError("is not a mapping")
    plain = _plain(loaded.value)
    assert isinstance(plain, dict), "a mapping is copied as one"
    places = KeyLines(loaded.node, block.first_line)
    return FrontMatter(plain, places.lines, tuple((str(key.path[-1]), key.line) for key in places.duplicates))


def front_matter(text: str) -> Mapping[str, object] | None:
    """Returns the metadata of a card, or None if it has none.

    Raises:
        UnreadableError: If the front matter is not a YAML mapping.
    """
    block = find_block(text)
    read = read_block(block) if block else None
    return read.data if read else None


def split_card(text: str) -> tuple[str | None, str]:
    """Returns the text of a card's front matter, or None if it has none, and the Markdown below it."""
    block = find_block(text)
    return (block.text, text[block.end :]) if block else (None, text)


def items(value: object) -> list[object]:
    """Returns the items of a list, or a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def texts(card: Mapping[str, object], key: str) -> Iterator[str]:
    """Yields the texts that are under a key, be it one or a list."""
    return (item for item in items(card.get(key)) if isinstance(item, str))


class NotAMappingError(UnreadableError):
    """The front matter is YAML, but a list or a plain value."""


def _plain(value: object) -> object:
    """Copies YAML's values as JSON's."""
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise UnreadableError("holds a number that is too large")
    if isinstance(value, str):
        # An escape can make half of a surrogate pair, which no answer could hold.
        return value.encode(errors="replace").decode()
    # Neither dates nor NaN are JSON.
    is_plain = value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else str(value)


@dataclass(frozen=True)
class MetadataFault:
    """One fault: where it is, and what is wrong in the words of the Hub."""

    path: KeyPath
    message: str

    @classmethod
    def at(cls, path: KeyPath, said: str) -> "MetadataFault":
        """Returns a fault whose message begins with the place, as in `"tags[1]" must be a string`."""
        return cls(path, f'"{show_path(path)}" {said}')
