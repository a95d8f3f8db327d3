"""Rows of a split whose files hubtune reads itself, so that what is trained is what stands in them."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hubtune.data.faults import Line

MOST_COLUMNS = 10_000
"""Columns of a data set; with more, keys hold what belongs into values, or a separator is wrong."""


@dataclass(frozen=True)
class FileRows:
    """The rows of a split, or a part of them; read anew whenever they are gone through.

    Attributes:
        columns: Their names in order.
        nested: Those that hold lists or mappings alone, and what.
        total: Rows of the part; None if only their end would tell.
        separator: What separates cells; None for files that hold no tables.
        start: The first row of the part, from 0.
        every: Reads all rows of the split, with the wanted columns alone.
    """

    columns: tuple[str, ...]
    nested: Mapping[str, str]
    total: int | None
    every: Callable[[Sequence[str]], Iterator[Line]]
    separator: str | None = None
    start: int = 0

    def part(self, start: int, end: int | None) -> "FileRows":
        """Returns the rows from `start` to before `end`; None stands for the last row."""
        ends = [known for known in (end, self.total) if known is not None]
        total = max(0, min(ends) - start) if ends else None
        return replace(self, start=self.start + start, total=total)

    def read(self, wanted: Sequence[str]) -> Iterator[Line]:
        """Gives the rows with the wanted columns alone, in order."""
        end = None if self.total is None else self.start + self.total
        return itertools.islice(self.every(wanted), self.start, end)

    def __len__(self) -> int:
        return self.total or 0
