"""Reads small tables of text: CSV, JSON Lines, YAML, or plain lines where there is one column."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hubtune.documents import Bounds, UnreadableError, load_json, parse_yaml
from hubtune.errors import ConfigError, FileError
from hubtune.files import read_bytes

_LARGEST = 50_000_000
_KINDS = "CSV (.csv), JSON Lines (.jsonl), YAML (.yaml) or plain lines (.txt)"

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        name: The file's name, without its folder.
        sha256: Of the file.
        rows: The columns that were asked for, stripped of space around them.
    """

    name: str
    sha256: str
    rows: list[Row]


def read_table(path: Path, key: str, columns: Mapping[str, Sequence[str]], optional: Sequence[str] = ()) -> Table:
    """Reads the columns that are asked for; others are left out.

    Args:
        path: The file.
        key: The config key that names it, for messages.
        columns: The columns that are needed, each with the names that it may have.
        optional: Those of them that a file may lack.

    Raises:
        ConfigError: The file cannot be read, lacks a column, or holds a row without a text.
    """
    content = read_content(path, key)
    return Table(path.name, hashlib.sha256(content).hexdigest(), _rows(path.name, content, key, columns, optional))


def read_content(path: Path, key: str) -> bytes:
    """Returns what is in the file.

    Raises:
        ConfigError: It cannot be read, or is larger than any such table.
    """
    try:
        return read_bytes(path, most=_LARGEST, name=f"the file {path.name} (`{key}`)")
    except FileError as error:
        raise ConfigError(
            error.message, hint=f"Correct `{key}` in the config; a path there starts at the config's folder."
        ) from None


def parsed_yaml(name: str, content: bytes, key: str) -> object:
    """Returns the document in YAML.

    Raises:
        ConfigError: It is not YAML.
    """
    bounds = Bounds(size=_LARGEST, depth=20)
    return parse_yaml(content, f"The file {name} (`{key}`)", error=ConfigError, bounds=bounds)


def _rows(
    name: str, content: bytes, key: str, columns: Mapping[str, Sequence[str]], optional: Sequence[str]
) -> list[Row]:
    found = _any_rows(name, content, key, next(iter(columns)) if len(columns) == 1 else None)
    if not found:
        raise ConfigError(f"The file {name} (`{key}`) holds no rows.", hint="Correct the file.")
    present = list(dict.fromkeys(column for row in found for column in row))
    given = {column: next((n for n in names if n in present), None) for column, names in columns.items()}
    lacking = [column for column, there in given.items() if there is None and column not in optional]
    if lacking:
        raise ConfigError(
            f"The file {name} (`{key}`) has no column {', '.join(map(repr, lacking))}; its columns are: "
            f"{', '.join(map(repr, present))}.",
            hint=f"It needs: {', '.join(column for column in columns if column not in optional)}.",
        )
    rows: list[Row] = []
    for number, row in enumerate(found, start=1):
        values = {column: row.get(there) for column, there in given.items() if there is not None}
        for column, value in values.items():
            if column not in optional and not (isinstance(value, str) and value.strip()):
                raise ConfigError(
                    f"Row {number} of the file {name} (`{key}`) has no text in column {column!r}.",
                    hint="Correct the file.",
                )
        rows.append({column: value.strip() for column, value in values.items() if isinstance(value, str)})
    return rows


def _any_rows(name: str, content: bytes, key: str, only: str | None) -> list[Mapping[str, object]]:
    """Returns the rows whatever the format; `only` is the column of a file of plain lines."""
    kind = Path(name).suffix.lower()
    if kind in (".yaml", ".yml"):
        return _mappings(parsed_yaml(name, content, key), name, key, only)
    text = _text(name, content, key)
    try:
        if kind == ".csv":
            return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
        if kind in (".jsonl", ".ndjson"):
            return _mappings([load_json(line) for line in text.split("\n") if line.strip()], name, key, only)
    except (csv.Error, UnreadableError) as error:
        raise ConfigError(
            f"The file {name} (`{key}`) cannot be read as {kind[1:]}: {error}.", hint="Correct the file."
        ) from None
    if kind == ".txt" and only is not None:
        lines = (line.strip() for line in text.splitlines())
        return [{only: line} for line in lines if line and not line.startswith("#")]
    raise ConfigError(
        f"The file {name} (`{key}`) cannot be read: it has to be {_KINDS}.", hint="Save it as one of these."
    )


def _text(name: str, content: bytes, key: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The mark at the start is no part of what the codec counts.
        offset = error.start + len(content) - len(error.object)
        line = content.count(b"\n", 0, offset) + 1
        raise ConfigError(
            f"The file {name} (`{key}`) is not UTF-8: its byte {offset + 1} (offset {offset}), on line {line}, is not "
            "part of such a text.",
            hint="Write it as UTF-8: iconv -f LATIN1 -t UTF-8 OLD > NEW",
        ) from None


def _mappings(found: object, name: str, key: str, only: str | None) -> list[Mapping[str, object]]:
    rows = found if isinstance(found, list) else []
    if only is not None:
        rows = [{only: row} if isinstance(row, str) else row for row in rows]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(
            f"The file {name} (`{key}`) is not a list of rows with named columns.", hint="Correct the file."
        )
    return [{str(column): value for column, value in row.items()} for row in rows]
