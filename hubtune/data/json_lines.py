"""Reads JSON Lines that `datasets` refuses as a whole, line by line, so that the bad lines alone are lost."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Line = dict[str, object] | None
"""One row; None for a line that is not a JSON object."""


@dataclass(frozen=True)
class JsonLines:
    """The rows of JSON Lines files, or a part of them; read anew whenever they are gone through.

    Attributes:
        start: The first row of the part, from 0.
        rows: Rows of the part.
        columns: The keys of all rows of the files, in order of first use.
    """

    files: tuple[Path, ...]
    start: int
    rows: int
    columns: tuple[str, ...]

    @classmethod
    def look_at(cls, files: Sequence[Path]) -> "JsonLines | None":
        """Looks at files; None where no line of them is a JSON object, so that they are none."""
        rows = good = 0
        columns: dict[str, None] = {}
        for row in _every(files):
            rows += 1
            if row is not None:
                good += 1
                columns.update(dict.fromkeys(row))
        return cls(tuple(files), 0, rows, tuple(columns)) if good else None

    def part(self, start: int, end: int) -> "JsonLines":
        """Returns the rows from `start` to before `end`."""
        return JsonLines(self.files, self.start + start, max(0, min(end, self.rows) - start), self.columns)

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Line]:
        return itertools.islice(_every(self.files), self.start, self.start + self.rows)


def _every(files: Sequence[Path]) -> Iterator[Line]:
    for path in files:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    yield _parse(line)


def _parse(line: bytes) -> Line:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
