"""Lets an author's statement stand in a Markdown file of its own: `card.ethics: {file: ETHICS.md}`."""

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
    if not isinstance(card, dict):
        return problems
    for key in STATEMENTS:
        value = card.get(key)
        if not isinstance(value, dict):
            continue
        path = value.get("file")
        if not isinstance(path, str) or set(value) != {"file"}:
            problems.append(Problem(f"card.{key}", "write the text itself, or {file: PATH} of a Markdown file"))
            del card[key]
            continue
        try:
            card[key] = _read(folder / path, folder)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            problems.append(Problem(f"card.{key}", f"the file {path} cannot be used: {reason}"))
            del card[key]
    return problems


def _read(path: Path, folder: Path) -> str:
    # A config that somebody else wrote must not bring this machine's files onto a card.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("it is not in the config's folder")
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST // 1024} KiB")
    text = content.decode("utf-8-sig")
    if not text.strip():
        raise ValueError("it is empty")
    return text.strip()
