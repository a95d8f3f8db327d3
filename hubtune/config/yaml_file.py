"""The text of a config: YAML without duplicate keys, and long texts in separate files, as `ethics: {file: ETHICS.md}`.

Everything here works on the parsed values, before validation by the schema, and returns problems with a key path, so
that all mistakes in a config are reported at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hubtune.config.schema import STATEMENTS
from hubtune.documents import KeyLines, UnreadableError, load_yaml, show_path

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
YamlMapping = dict[str, Value]
_LONGEST = 64 * 1024


@dataclass(frozen=True)
class Problem:
    """One fault of a config: the key path it is at (dotted, empty for the whole) and what is wrong."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def parse(text: str) -> tuple[YamlMapping, list[Problem]]:
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
    return loaded.value, [
        Problem(show_path(key.path), f"this key is there twice, on lines {key.first} and {key.line}; keep one")
        for key in KeyLines(loaded.node).duplicates
    ]


def parse_scalar(text: str) -> Value:
    """Parses the value of a `key=value` override as YAML; text that is not YAML stays text.

    So does a sentence with a colon in it, which YAML would read as a mapping: one is written in braces.
    """
    try:
        loaded = load_yaml(text)
    except UnreadableError:
        return text
    value = cast("Value", loaded.value if loaded else None)
    return text if isinstance(value, dict) and not text.lstrip().startswith("{") else value


def read_statement_files(mapping: YamlMapping, folder: Path) -> list[Problem]:
    """Replaces `{file: PATH}` by the text of the file in each statement; returns what is wrong with them.

    So the run's own copy of the config holds the words themselves, whatever becomes of the file.

    Args:
        mapping: The config as it was read; changed in place.
        folder: Where relative paths start: the config file's folder.
    """
    problems: list[Problem] = []
    card = mapping.get("card")
    if isinstance(card, dict):
        for key in STATEMENTS:
            problems += _put_text(_TextKey(card, key, f"card.{key}"), folder, "of a Markdown file", strip=True)
    return problems


def read_chat_template_files(mapping: YamlMapping, folder: Path) -> list[Problem]:
    """Does the same for the chat template of each dataset, whose text stays as it is to the last space."""
    problems: list[Problem] = []
    for name, entry in data_entries(mapping):
        place = _TextKey(entry, "chat_template", f"{name}.chat_template")
        problems += _put_text(place, folder, "of a Jinja file", strip=False)
    return problems


def data_entries(mapping: YamlMapping) -> Iterator[tuple[str, YamlMapping]]:
    """Yields the datasets that a config names, those of the earlier task too, each with its key path."""
    earlier = mapping.get("earlier")
    for name, section in (("data", mapping), ("earlier.data", earlier)):
        data = section.get("data") if isinstance(section, dict) else None
        for number, entry in enumerate(data if isinstance(data, list) else []):
            if isinstance(entry, dict):
                yield f"{name}[{number}]", entry


@dataclass(frozen=True)
class _TextKey:
    """A key whose text may be in a file of its own, with the section that holds it and its path in the config."""

    section: YamlMapping
    key: str
    path: str


def _put_text(place: _TextKey, folder: Path, kind: str, *, strip: bool) -> list[Problem]:
    section, key = place.section, place.key
    value = section.get(key)
    if not isinstance(value, dict):
        return []
    path = value.get("file")
    if not isinstance(path, str) or set(value) != {"file"}:
        del section[key]
        return [Problem(place.path, f"write the text itself, or {{file: PATH}} {kind}")]
    try:
        text = _read(folder / path, folder)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        del section[key]
        return [Problem(place.path, f"the file {path} cannot be used: {reason}")]
    section[key] = text.strip() if strip else text
    return []


def _read(path: Path, folder: Path) -> str:
    # A config that somebody else wrote must not bring this machine's files onto a card.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("it is not in the config's folder")
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: the first byte that is not is byte {error.start + 1}") from None
    if not text.strip():
        raise ValueError("it is empty")
    return text
