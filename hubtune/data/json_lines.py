"""Reads JSON Lines that `datasets` refuses as a whole, line by line, so that the bad lines alone are lost."""

import json
from collections.abc import Sequence
from pathlib import Path

Line = dict[str, object] | None
"""One row; None for a line that is not a JSON object."""


def read_lines(files: Sequence[Path]) -> list[Line] | None:
    """Returns the rows of JSON Lines files; None where no line of them is a JSON object, so that they are none."""
    rows: list[Line] = []
    for path in files:
        with path.open("rb") as file:
            rows += [_parse(line) for line in file if line.strip()]
    return rows if any(row is not None for row in rows) else None


def columns_of(rows: Sequence[Line]) -> list[str]:
    """Returns the keys of all rows, in order of first use."""
    return list(dict.fromkeys(key for row in rows if row is not None for key in row))


def _parse(line: bytes) -> Line:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
