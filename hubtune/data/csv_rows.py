"""Reads CSV and TSV as Python's `csv` does, cell by cell: a cell is the text in it, and only an empty cell is null.

Only the separator is guessed, and reported. Codes keep their zeros, `null` and `NA` are words, and no row influences
how the cells of another row are read.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from hubtune.data.segments import DropReason, RawRow, UnreadableRow
from hubtune.data.text_files import LONGEST_LINE, MOST_COLUMNS, FileRows, TextFile, check_plain
from hubtune.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
"""Those that are recognized, and what to call them."""

LONGEST_ROW = 1 << 25
"""Characters of a row with all its cells, so that a file which never ends one does not take the memory."""

_HEAD = 1 << 18
_HEAD_ROWS = 100


class Dialect(TypedDict, total=False):
    """The options of `csv.reader` besides the separator."""

    quotechar: str | None
    escapechar: str | None
    doublequote: bool
    skipinitialspace: bool
    quoting: Literal[0, 1, 3]


@dataclass(frozen=True)
class CsvForm:
    """The form of a table, if it is not the usual one.

    Attributes:
        separator: What separates cells; None to recognize it.
        names: The columns, if no header of the file says them; empty if one does.
        has_header: Whether the first row is a header, which `names` replace.
        dialect: What else `csv.reader` takes.
    """

    separator: str | None = None
    names: tuple[str, ...] = ()
    has_header: bool = True
    dialect: Dialect = field(default_factory=Dialect)


@dataclass(frozen=True)
class _CsvTable:
    """One file: its columns by their places in a row, and what separates the cells."""

    file: TextFile
    form: CsvForm
    separator: str
    columns: Mapping[str, int]
    width: int

    def rows(self, wanted: Sequence[str]) -> Iterator[RawRow]:
        places = [(column, self.columns[column]) for column in wanted if column in self.columns]
        absent = {column: None for column in wanted if column not in self.columns}
        records = _records(self.file, self.separator, self.form)
        for line, cells in itertools.islice(records, int(self.form.has_header), None):
            if len(cells) != self.width:
                many = f"{len(cells):,} cell{'' if len(cells) == 1 else 's'}"
                yield UnreadableRow(
                    DropReason.RAGGED, f"that row, which begins on line {line:,}, has {many}, not {self.width:,}"
                )
            else:
                yield {**absent, **{column: cells[place] or None for column, place in places}}


def read_csv(files: Sequence[TextFile], form: CsvForm, *, count: bool = True) -> FileRows:
    """Returns the rows of CSV files with the same columns.

    Args:
        files: The files of a split, in order.
        form: How they are written.
        count: Go through all of them once, to know how many rows there are and that every one can be read.

    Raises:
        DataError: They are not text in their encoding, a header does not name its columns, or a quote is not closed.
    """
    # Each is opened when its turn comes, so that a stream of many asks for few at a time.
    opened: dict[str, _CsvTable | None] = {}

    def tables() -> Iterator[_CsvTable]:
        for file in files:
            if file.path not in opened:
                opened[file.path] = _opened(file, form)
            table = opened[file.path]
            if table is not None:
                _require_same(next(one for one in opened.values() if one is not None), table)
                yield table

    first = next(tables(), None)
    if first is None:
        return FileRows((), {}, 0, lambda _: iter(()))

    def every(wanted: Sequence[str]) -> Iterator[RawRow]:
        return itertools.chain.from_iterable(table.rows(wanted) for table in tables())

    total = sum(1 for _ in every(())) if count else None
    return FileRows(tuple(first.columns), {}, total, every, separator=first.separator)


def _opened(file: TextFile, form: CsvForm) -> _CsvTable | None:
    check_plain(file)
    separator = form.separator or _recognised(file, form)
    first = next(_records(file, separator, form), None)
    if first is None:
        return None
    _, header = first
    names = form.names or header
    columns = _columns(file.name, names, separator)
    if form.names and len(form.names) != len(header):
        raise DataError(
            f"{file.name} has {len(header):,} columns, and its card names {len(form.names):,}.",
            hint="Choose another revision, or save the table with a header and name it as `data[].path`.",
        )
    return _CsvTable(file, form, separator, columns, len(names))


def _columns(name: str, header: Sequence[str], separator: str) -> dict[str, int]:
    """Returns the place of each column; a first one without a name holds row numbers, and cannot be asked for."""
    if len(header) > MOST_COLUMNS:
        raise DataError(
            f"{name} has {len(header):,} columns; at most {MOST_COLUMNS:,} can be read.",
            hint="Write one row a line, and name its separator as `data[].separator`.",
        )
    nameless = [place for place, column in enumerate(header, 1) if not column.strip()]
    if nameless and (nameless != [1] or len(header) == 1):
        raise DataError(
            f"The header of {name} has no name for column {nameless[-1]:,} of {len(header):,}.",
            hint="Name every column in the first row; cells are separated by "
            f"{described(separator)}, or by what `data[].separator` names.",
        )
    places: dict[str, int] = {}
    for place, column in enumerate(header):
        if column in places:
            raise DataError(
                f"The header of {name} names the column {column[:100]!r} twice.",
                hint="Give every column a name of its own in the first row.",
            )
        places[column] = place
    return {column: place for column, place in places.items() if column.strip()}


def _require_same(first: _CsvTable, other: _CsvTable) -> None:
    odd = sorted(first.columns.keys() ^ other.columns.keys())
    if odd:
        lacks, has = (first, other) if odd[0] in other.columns else (other, first)
        raise DataError(
            f"{lacks.file.name} has no column {odd[0][:100]!r}, and {has.file.name} has; the files of a split have "
            "the same columns.",
            hint="Name each file as a dataset of its own, or give both the same header.",
        )


def _recognised(file: TextFile, form: CsvForm) -> str:
    """Returns what separates cells: of those that split the first row, the one by which most rows have its length."""
    usual = "\t" if ".tsv" in file.path.lower() else ","
    lines, size = [], 0
    for _, line in file.lines():
        if line is None or size > _HEAD:
            break
        lines.append(line)
        size += len(line)
    best, most = usual, 0.0
    for separator in (usual, *(other for other in SEPARATORS if other != usual)):
        try:
            rows = [row for row in _reader(lines, separator, form) if row]
        except csv.Error:
            continue
        if len(rows) > _HEAD_ROWS or size > _HEAD:
            # The last may be cut.
            rows = rows[: max(1, min(_HEAD_ROWS, len(rows) - 1))]
        if rows and len(rows[0]) > 1:
            alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            best, most = (separator, alike) if alike > most else (best, most)
    return best


def _records(file: TextFile, separator: str, form: CsvForm) -> Iterator[tuple[int, list[str]]]:
    """Gives the rows that are not blank lines, each with the line that it begins on, from 1."""
    ended = False
    begin = taken = 0

    def lines() -> Iterator[str]:
        nonlocal ended, taken
        for number, line in file.lines():
            if line is None:
                raise DataError(
                    f"Line {number:,} of {file.name} is longer than {LONGEST_LINE:,} characters.",
                    hint="Write one row a line; a file without line ends is not a table.",
                )
            # Quotes join any number of lines to one row.
            taken += len(line)
            if taken > LONGEST_ROW:
                raise DataError(
                    f"The row of {file.name} that begins on line {begin:,} is longer than {LONGEST_ROW:,} characters.",
                    hint="Check that every quote is closed, or leave the row out.",
                )
            yield line
        ended = True

    reader = _reader(lines(), separator, form)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            raise _too_long(file, begin) from None
        taken = 0
        if cells is None:
            return
        if ended:
            # A row whose last line had an end would have come before the file was found to be at its own.
            raise DataError(
                f"A quote in {file.name} is not closed: in the row that begins on line {begin:,}.",
                hint='Close it, or write a quote that belongs to the text twice: "".',
            )
        if cells:
            yield begin, cells


def _reader(lines: Iterable[str], separator: str, form: CsvForm) -> "Reader":
    # A setting of the module: the text of a row may be longer than its 131,072 characters.
    csv.field_size_limit(max(LONGEST_LINE, csv.field_size_limit()))
    return csv.reader(lines, delimiter=separator, **form.dialect)


def _too_long(file: TextFile, begin: int) -> DataError:
    return DataError(
        f"The row of {file.name} that begins on line {begin:,} has a cell of more than {LONGEST_LINE:,} characters.",
        hint="A quote that is not closed makes one cell of all that follows: close it, or split the text.",
    )


def described(separator: str) -> str:
    """Describes the separator of cells."""
    return SEPARATORS.get(separator, repr(separator))
