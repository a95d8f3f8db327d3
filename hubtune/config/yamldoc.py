"""Reads a YAML mapping and reports every duplicate key in it, with its line.

PyYAML keeps the last of two equal keys without a word, so the node tree is walked before values are made of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from hubtune.documents import UnreadableError, load_yaml

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
Mapping = dict[str, Value]


@dataclass(frozen=True)
class Problem:
    """One fault of a config: the key path it is at (dotted, empty for the whole) and what is wrong."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def parse(text: str) -> tuple[Mapping, list[Problem]]:
    """Parses YAML text that has to be a mapping with text keys.

    Returns:
        The mapping (of equal keys the last counts) and a problem for each duplicate key. When the text is not YAML or
        not a mapping, the mapping is empty and the problem says why.
    """
    try:
        loaded = load_yaml(text)
    except UnreadableError as fault:
        return {}, [Problem("", f"this {fault}")]
    if loaded is None or loaded.value is None:
        return {}, []
    if not isinstance(loaded.value, dict):
        return {}, [
            Problem("", "the file has to be a mapping of keys to values, such as `base:` with `repo:` below it")
        ]
    return loaded.value, list(_duplicates(loaded.node, ""))


def parse_scalar(text: str) -> Value:
    """Parses the value of a `key=value` override as YAML; text that is not YAML stays text.

    So does a sentence with a colon in it, which YAML would read as a mapping: one is written in braces.
    """
    try:
        loaded = load_yaml(text)
    except UnreadableError:
        return text
    value: Value = loaded.value if loaded else None  # type: ignore[assignment]
    return text if isinstance(value, dict) and not text.lstrip().startswith("{") else value


def _duplicates(node: yaml.Node, path: str) -> Iterator[Problem]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicates(item, f"{path}[{index}]")
    if not isinstance(node, yaml.MappingNode):
        return
    first_line: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        below = f"{path}.{name}" if path else name
        if name in first_line:
            yield Problem(below, f"this key is there twice, on lines {first_line[name]} and {line}; keep one")
        first_line.setdefault(name, line)
        yield from _duplicates(value, below)
