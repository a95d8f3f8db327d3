"""Reads the rows of JSON Lines and JSON, with as little of a file in memory as its form allows.

A file is a sequence of values, a list of rows, or an object with such a list under a key; the start of the file shows
which. It is read through a moving window. An invalid row is dropped with its reason; a file that is not JSON at all is
refused.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from hubtune.data.json_values import MOST_DEPTH, MOST_DIGITS, MOST_IN_ROW, SHORT, JsonParser, values_in
from hubtune.data.segments import DropReason, RawRow, UnreadableRow
from hubtune.data.text_files import LONGEST_LINE, MOST_COLUMNS, FileRows, TextFile, check_plain
from hubtune.errors import DataError

LARGEST_DOCUMENT = 1 << 28
"""Characters of a file that is one JSON object, which has to be held as a whole."""
MOST_VALUES = 1 << 23
"""Commas and brackets of such a file, also those in texts: after each may come a value, of up to 240 bytes."""

_CHUNK = 1 << 20
_SPACE = " \t\r\n"
_SPACES = re.compile(f"[{_SPACE}]*")


@dataclass
class _ColumnScan:
    """What a first look at all rows shows."""

    rows: int = 0
    good: int = 0
    why: str = ""

    def __post_init__(self) -> None:
        self._columns: dict[str, set[str]] = {}

    def add(self, line: RawRow, file: TextFile) -> None:
        """Looks at a row.

        Raises:
            DataError: There are more keys than a dataset has columns.
        """
        self.rows += 1
        if isinstance(line, UnreadableRow):
            self.why = self.why or (line.detail and f": {line.detail}")
            return
        self.good += 1
        if max(len(line), len(self._columns)) > MOST_COLUMNS:
            raise DataError(
                f"The objects of {file.source} have more than {MOST_COLUMNS:,} different keys.",
                hint="Write what differs from row to row as a value, and not as a key.",
            )
        for key, value in line.items():
            kinds = self._columns.setdefault(key, set())
            if value is not None:
                kinds.add("lists" if isinstance(value, list) else "objects" if isinstance(value, dict) else "")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    @property
    def nested(self) -> dict[str, str]:
        return {
            column: " and ".join(sorted(kinds)) for column, kinds in self._columns.items() if kinds and "" not in kinds
        }


def read_json(files: Sequence[TextFile], field: str | None = None, *, head: int | None = None) -> FileRows:
    """Returns the rows of JSON files: of JSON Lines, of lists of objects, or of objects of columns.

    Args:
        files: The files of a split, in order.
        field: The key of the object that holds the rows, if the files are objects.
        head: How many rows are looked at for their columns; None for all of them, which also counts them.

    Raises:
        DataError: They are not text in their encoding, or hold no row.
    """

    def everything() -> Iterator[RawRow]:
        for file in files:
            yield from _rows_of(file, field)

    look, whole = _ColumnScan(), True
    for line in everything():
        if head is not None and look.rows == head:
            whole = False
            break
        look.add(line, files[0])
    if look.rows and not look.good:
        raise DataError(
            f"The files of {files[0].source} cannot be read as a dataset: {files[0].path} holds no line that is a "
            f"JSON object{look.why}.",
            hint="Write one JSON object per line; CSV, Parquet and Arrow can be read too.",
        )

    def every(wanted: Sequence[str]) -> Iterator[RawRow]:
        for line in everything():
            yield line if isinstance(line, UnreadableRow) else {column: line.get(column) for column in wanted}

    return FileRows(look.columns, look.nested, look.rows if whole else None, every)


def _rows_of(file: TextFile, field: str | None) -> Iterator[RawRow]:
    """Gives the rows of a file, by the way that it begins."""
    check_plain(file)
    if field is not None:
        yield from _rows_of_value(file, _document(file).get(field), f"its {field!r}")
        return
    begin, first_line_is_row = _begin(file)
    if begin == "[":
        yield from _items(file)
    elif begin == "{" and not first_line_is_row and (whole := _objects(file)) is not None:
        yield from whole
    else:
        parser = JsonParser()
        for _, line in file.lines("\n"):
            if line is None:
                yield UnreadableRow(DropReason.HUGE, f"the line has more than {LONGEST_LINE:,} characters")
            elif not line.isspace():
                # Files that were put together keep the marks of all.
                yield parser.line(line.removeprefix("\ufeff"))


def _begin(file: TextFile) -> tuple[str, bool]:
    """Returns the first character, and whether the first line is a row by itself."""
    with file.text("\n") as text:
        window = _Window(text)
        first = window.skip(_SPACE + "\ufeff")
    for _, line in file.lines("\n"):
        if line is None:
            return first, False
        if not line.isspace():
            row = JsonParser().line(line.removeprefix("\ufeff"))
            # Something is wrong with such a line, and it is one all the same.
            return first, not isinstance(row, UnreadableRow) or bool(row.detail)
    return first, False


def _items(file: TextFile) -> Iterator[RawRow]:
    """Gives the items of a list, holding no more of it at a time than an item needs; texts are rows by themselves."""
    parser = JsonParser()
    with file.text("\n") as text:
        window = _Window(text)
        window.skip(_SPACE + "\ufeff")
        window.take("[", file)
        more = window.skip() != "]"
        while more:
            row, value = window.value(parser, file)
            yield {"text": value} if isinstance(value, str) else row
            more = window.skip() != "]"
            if more:
                window.take(",", file)
                window.skip()
        window.take("]", file)
        if window.skip():
            raise window.broken(file)


class _Window:
    """The part of a text that is being looked at."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._held = ""
        self._place = 0
        self._lines = 1

    def skip(self, space: str = _SPACE) -> str:
        """Goes to the next character that is not space, and returns it; "" at the end."""
        while True:
            found = _SPACES.match(self._held, self._place)
            self._place = self._place if found is None else found.end()
            if self._place == len(self._held):
                if not self._more():
                    return ""
            elif self._held[self._place] not in space:
                return self._held[self._place]
            else:
                self._place += 1

    def take(self, wanted: str, file: TextFile) -> None:
        """Goes past a character.

        Raises:
            DataError: Another is there.
        """
        if self._held[self._place : self._place + 1] != wanted:
            raise self.broken(file)
        self._place += 1

    def value(self, parser: JsonParser, file: TextFile) -> tuple[RawRow, object]:
        """Returns the value that begins here, as a row and as it is."""
        while True:
            try:
                row, value, end = parser.next(self._held, self._place)
            except RecursionError:
                raise DataError(
                    f"{file.name} holds a value that is nested more than {MOST_DEPTH} deep.",
                    hint="Leave it out of the file; a row holds texts, numbers, and messages.",
                ) from None
            except ValueError:
                long = len(self._held) - self._place
                if long > LONGEST_LINE or (long > SHORT and values_in(self._held, self._place) > MOST_IN_ROW):
                    raise DataError(
                        f"{file.name} holds an item that is longer than {LONGEST_LINE:,} characters, has more than "
                        f"{MOST_IN_ROW:,} commas and brackets, or is not JSON: the one that begins on line "
                        f"{self._line():,}.",
                        hint="Correct it, or leave it out; one JSON object per line shows which.",
                    ) from None
                if not self._more():
                    raise self.broken(file) from None
                continue
            # A number may go on in what was not read yet.
            if end < len(self._held) or not self._more():
                self._place = end
                return row, value

    def _more(self) -> bool:
        more = self._text.read(max(_CHUNK, len(self._held) - self._place))
        self._lines += self._held.count("\n", 0, self._place)
        self._held, self._place = self._held[self._place :] + more, 0
        return bool(more)

    def _line(self) -> int:
        return self._lines + self._held.count("\n", 0, self._place)

    def broken(self, file: TextFile) -> DataError:
        """Returns the error for a text that is not JSON from here on."""
        line = self._line()
        return DataError(
            f"The files of {file.source} cannot be read as a dataset: {file.path} is not JSON from line {line:,} on.",
            hint="Write the list of objects again, or one JSON object per line.",
        )


def _objects(file: TextFile) -> Iterable[RawRow] | None:
    """Returns the rows of a file of one object, or of objects that go over several lines; None if it is not such."""
    content = _held(file)
    large = content is None
    if content is not None:
        try:
            row, value, end = JsonParser().next(content, _after_space(content, 0))
        except (ValueError, RecursionError):
            return None
        if _after_space(content, end) == len(content):
            columns = _columns_of(value)
            return [row] if columns is None else columns
        del content
    rows, sound = 0, True
    try:
        for _ in _sequence(file):
            rows += 1
    except DataError:
        sound = False
    if large and (rows == 1 if sound else rows == 0 and _is_endless(file)):
        raise _too_large(file, "holds a JSON object")
    return _sequence(file) if sound else None


def _sequence(file: TextFile) -> Iterator[RawRow]:
    """Gives objects that stand one after the other, holding no more than one at a time."""
    parser = JsonParser()
    with file.text("\n") as text:
        window = _Window(text)
        window.skip(_SPACE + "\ufeff")
        while window.skip():
            yield window.value(parser, file)[0]


def _is_endless(file: TextFile) -> bool:
    """Whether the file begins with an object that goes on for longer than a row can be."""
    with file.text("\n") as text:
        begin = text.read(LONGEST_LINE).removeprefix("\ufeff")
    try:
        JsonParser().next(begin, _after_space(begin, 0))
    except json.JSONDecodeError as error:
        return error.msg.startswith("Unterminated string") or error.pos >= len(begin) - MOST_DIGITS
    except (ValueError, RecursionError):
        return False
    return False


def _held(file: TextFile) -> str | None:
    """Returns the whole text; None if what is in it could take the memory."""
    with file.text("\n") as text:
        content = text.read(LARGEST_DOCUMENT).removeprefix("\ufeff")
        larger = bool(text.read(1))
    return None if larger or values_in(content) > MOST_VALUES else content


def _after_space(text: str, place: int) -> int:
    found = _SPACES.match(text, place)
    return place if found is None else found.end()


def _document(file: TextFile) -> Mapping[str, object]:
    content = _held(file)
    if content is None:
        raise _too_large(file, "is a JSON document")
    try:
        row, value, end = JsonParser().next(content, _after_space(content, 0))
    except (ValueError, RecursionError):
        row, value, end = UnreadableRow(DropReason.NOT_JSON), None, 0
    if _after_space(content, end) < len(content) or isinstance(row, UnreadableRow) or not isinstance(value, dict):
        raise DataError(
            f"{file.name} is not one JSON object, as its card says.",
            hint="Choose another revision, or write one JSON object per line and name the file as `data[].path`.",
        )
    return value


def _too_large(file: TextFile, what: str) -> DataError:
    return DataError(
        f"{file.name} {what} of more than {LARGEST_DOCUMENT:,} characters, or of more than {MOST_VALUES:,} commas and "
        "brackets, which is not held in memory.",
        hint="Write one JSON object per line, or a list of objects: these can be of any length. Name the file as "
        "`data[].path`.",
    )


def _rows_of_value(file: TextFile, value: object, called: str) -> Iterable[RawRow]:
    if isinstance(value, list):
        return [_item(item) for item in value]
    columns = _columns_of(value)
    if columns is None:
        raise DataError(
            f"{file.name} cannot be read as rows: {called} is not a list of objects.",
            hint="Choose another revision, or write one JSON object per line and name the file as `data[].path`.",
        )
    return columns


def _item(value: object) -> RawRow:
    if isinstance(value, dict):
        return value
    return {"text": value} if isinstance(value, str) else UnreadableRow(DropReason.NOT_JSON, "it is not an object")


def _columns_of(value: object) -> list[RawRow] | None:
    """Returns the rows of an object that holds a list for each column; None if it does not."""
    if not isinstance(value, dict) or not value or not all(isinstance(column, list) for column in value.values()):
        return None
    if len({len(column) for column in value.values()}) != 1:
        return None
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
