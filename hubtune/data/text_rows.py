"""Reads files of plain text, a row for each line, paragraph or file, as the data set's card asks."""

from collections.abc import Iterator, Sequence

from hubtune.data.faults import Line, Reason, Unread
from hubtune.data.file_rows import FileRows
from hubtune.data.text_files import LONGEST_LINE, TextFile, check_plain

_COLUMN = "text"
_CHUNK = 1 << 20
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
    end = "\n\n" if by == "paragraph" else None
    # Not by lines: a file of many short ones would take minutes.
    with file.text(None) as text:
        held, larger = text.read(_CHUNK).removeprefix("\ufeff"), False
        while True:
            *ended, held = held.split(end) if end else [held]
            for part in ended:
                # More than two line ends part paragraphs too.
                whole = part.lstrip("\n")
                if larger or len(whole) > LONGEST_LINE:
                    yield None
                elif whole:
                    yield whole
                larger = False
            if len(held) > LONGEST_LINE:
                held, larger = held[-1:], True
            more = text.read(_CHUNK)
            if not more:
                break
            held += more
    whole = held.lstrip("\n") if end else held
    if larger or whole:
        yield None if larger else whole
