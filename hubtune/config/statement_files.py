"""Lets a long text stand in a file of its own: `card.ethics: {file: ETHICS.md}`, `data[].chat_template`."""

from collections.abc import Iterator
from pathlib import Path

from hubtune.config.schema import STATEMENTS
from hubtune.config.yamldoc import Mapping, Problem

_LONGEST = 64 * 1024


def read_statement_files(mapping: Mapping, folder: Path) -> list[Problem]:
    """Puts the text of each statement's file in the place of `{file: PATH}`; returns what is wrong with them.

    So the run's own copy of the config holds the words themselves, whatever becomes of the file.

    Args:
        mapping: The config as it was read; changed in place.
        folder: Where relative paths start: the config file's folder.
    """
    problems: list[Problem] = []
    card = mapping.get("card")
    if isinstance(card, dict):
        for key in STATEMENTS:
            problems += _put_text(card, key, f"card.{key}", folder, "of a Markdown file", strip=True)
    return problems


def read_chat_template_files(mapping: Mapping, folder: Path) -> list[Problem]:
    """Does the same for the chat template of each data set, whose text stays as it is to the last space."""
    problems: list[Problem] = []
    for name, entry in data_entries(mapping):
        problems += _put_text(entry, "chat_template", f"{name}.chat_template", folder, "of a Jinja file", strip=False)
    return problems


def data_entries(mapping: Mapping) -> Iterator[tuple[str, Mapping]]:
    """Yields the data sets that a config names, those of the earlier task too, each with its key path."""
    earlier = mapping.get("earlier")
    for name, section in (("data", mapping), ("earlier.data", earlier)):
        data = section.get("data") if isinstance(section, dict) else None
        for number, entry in enumerate(data if isinstance(data, list) else []):
            if isinstance(entry, dict):
                yield f"{name}[{number}]", entry


def _put_text(section: Mapping, key: str, place: str, folder: Path, kind: str, *, strip: bool) -> list[Problem]:
    value = section.get(key)
    if not isinstance(value, dict):
        return []
    path = value.get("file")
    if not isinstance(path, str) or set(value) != {"file"}:
        del section[key]
        return [Problem(place, f"write the text itself, or {{file: PATH}} {kind}")]
    try:
        text = _read(folder / path, folder)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        del section[key]
        return [Problem(place, f"the file {path} cannot be used: {reason}")]
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
