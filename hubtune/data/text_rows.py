"""Reads files of plain text, a row for each line, paragraph or file, as the data set's card asks."""

import io
from collections.abc import Iterator, Sequence

from hubtune.data.faults import Line, Reason, Unread
from hubtune.data.file_rows import FileRows
from hubtune.data.text_files import LONGEST_LINE, TextFile, check_plain

_COLUMN = "text"
_TOO_LONG = Unread(Reason.HUGE, f"more than {LONGEST_LINE:,} characters")


def read_text(files: Sequence[TextFile], by: str = "line", *, keep_ends: bool = False, count: bool = True) -> FileRows:
    """Returns the rows of text files, in the column `text`.

    Args:
        files: The files of a split, in order.
        by: What a row is: a `line`, a `paragraph` or a `document`, which is a file.
        keep_ends: Whether a line keeps its end.
        count: Go through all of them once, to know how many rows there are and that every one can be read.

    Raises:
        DataError: They are not text in their encoding.
    """

    def every(wanted: Sequence[str]) -> Iterator[Line]:
        for file in files:
            check_plain(file)
            for row in _rows(file, by, keep_ends=keep_ends):
                yield _TOO_LONG if row is None else {column: row if column == _COLUMN else None for column in wanted}

    return FileRows((_COLUMN,), {}, sum(1 for _ in every(())) if count else None, every)


def _rows(file: TextFile, by: str, *, keep_ends: bool) -> Iterator[str | None]:
    if by == "line":
        for _, line in file.lines(None):
            yield line if line is None or keep_ends else line.removesuffix("\n")
        return
    # A list of short lines would take many times the memory of their text.
    held = io.StringIO()
    size = 0
    for _, line in file.lines(None):
        ends = by == "paragraph" and line == "\n"
        if ends and size:
            whole = _joined(held, size)
            yield whole and whole.removesuffix("\n")
            held, size = io.StringIO(), 0
        elif not ends:
            size += LONGEST_LINE + 1 if line is None else len(line)
            if line is not None and size <= LONGEST_LINE:
                held.write(line)
    if size:
        yield _joined(held, size)


def _joined(lines: io.StringIO, size: int) -> str | None:
    return None if size > LONGEST_LINE else lines.getvalue()
