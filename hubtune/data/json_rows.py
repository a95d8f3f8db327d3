"""Reads JSON Lines and JSON as they stand in the file: no column has a type, so that no value becomes another.

A row that is not sound JSON is lost alone, with its reason. Texts that look like dates stay texts, whole numbers stay
whole however large, and a number with a fraction is written as the file writes it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from hubtune.data.faults import Line, Reason, Unread
from hubtune.data.file_rows import MOST_COLUMNS, FileRows
from hubtune.data.text_files import LONGEST_LINE, TextFile, check_plain
from hubtune.errors import DataError

LARGEST_DOCUMENT = 1 << 28
"""Characters of a file that is one JSON object, which has to be held as a whole."""
MOST_DEPTH = 100
MOST_DIGITS = 400

_CHUNK = 1 << 20
_SPACE = " \t\r\n"


class ExactNumber(float):
    """A number as the file writes it, such as 1.10, where Python would write it otherwise."""

    def __new__(cls, written: str) -> "ExactNumber":
        """Returns the number that `written` says."""
        number = super().__new__(cls, written)
        number.written = written
        return number

    written: str

    def __str__(self) -> str:
        """Returns what stands in the file."""
        return self.written

    def __reduce__(self) -> tuple[type["ExactNumber"], tuple[str]]:
        """Keeps what stands in the file where rows go to other processes."""
        return ExactNumber, (self.written,)


class _Parser:
    """Parses one value at a time, and keeps what is wrong with the last."""

    def __init__(self) -> None:
        self._fault: Unread | None = None
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=self._fraction,
            parse_int=self._whole,
            parse_constant=self._constant,
        )

    def line(self, text: str) -> Line:
        """Returns the row on a line."""
        self._fault = None
        try:
            value = self._decoder.decode(text)
        except ValueError:
            return Unread(Reason.NOT_JSON)
        except RecursionError:
            return Unread(Reason.NOT_JSON, f"it is nested more than {MOST_DEPTH} deep")
        return self._row(value)

    def next(self, text: str, place: int) -> tuple[Line, object, int]:
        """Returns the row that a value in a text is, the value, and the place after it.

        Raises:
            ValueError: There is none.
            RecursionError: It is nested too deeply.
        """
        self._fault = None
        value, end = self._decoder.raw_decode(text, place)
        return self._row(value), value, end

    def _row(self, value: object) -> Line:
        if self._fault is not None:
            return self._fault
        if not isinstance(value, dict):
            return Unread(Reason.NOT_JSON, "it is not an object")
        if _deeper(value, MOST_DEPTH):
            return Unread(Reason.NOT_JSON, f"it is nested more than {MOST_DEPTH} deep")
        return value

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self._fault = Unread(Reason.NOT_JSON, "a key stands twice in an object")
        for key in found:
            if not key.isascii() and not _writable(key):
                self._fault = Unread(Reason.NOT_JSON, "a key holds half a surrogate pair")
        return found

    def _fraction(self, written: str) -> float:
        number = float(written)
        return number if repr(number) == written else ExactNumber(written)

    def _whole(self, written: str) -> float:
        if written == "-0":
            return ExactNumber(written)
        if len(written) > MOST_DIGITS:
            self._fault = Unread(Reason.NOT_JSON, f"a number has more than {MOST_DIGITS} digits")
            return 0
        return int(written)

    def _constant(self, written: str) -> None:
        self._fault = Unread(Reason.NOT_JSON, f"{written} is not a number in JSON")


@dataclass
class _Look:
    """What a first look at all rows shows."""

    rows: int = 0
    good: int = 0

    def __post_init__(self) -> None:
        self._columns: dict[str, set[str]] = {}

    def add(self, line: Line) -> None:
        self.rows += 1
        if isinstance(line, Unread):
            return
        self.good += 1
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

    def everything() -> Iterator[Line]:
        for file in files:
            yield from _rows_of(file, field)

    look, whole = _Look(), True
    for line in everything():
        if head is not None and look.rows == head:
            whole = False
            break
        look.add(line)
        if len(look.columns) > MOST_COLUMNS:
            raise DataError(
                f"The objects of {files[0].source} have more than {MOST_COLUMNS:,} different keys.",
                hint="Write what differs from row to row as a value, and not as a key.",
            )
    if look.rows and not look.good:
        raise DataError(
            f"The files of {files[0].source} cannot be read as a data set: {files[0].path} holds no line that is a "
            "JSON object.",
            hint="Write one JSON object a line; CSV, Parquet and Arrow can be read too.",
        )

    def every(wanted: Sequence[str]) -> Iterator[Line]:
        for line in everything():
            yield line if isinstance(line, Unread) else {column: line.get(column) for column in wanted}

    return FileRows(look.columns, look.nested, look.rows if whole else None, every)


def _rows_of(file: TextFile, field: str | None) -> Iterator[Line]:
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
        parser = _Parser()
        for _, line in file.lines("\n"):
            if line is None:
                yield Unread(Reason.HUGE, f"the line has more than {LONGEST_LINE:,} characters")
            elif not line.isspace():
                # Files that were put together keep the marks of all.
                yield parser.line(line.removeprefix("\ufeff"))


def _begin(file: TextFile) -> tuple[str, bool]:
    """Returns the first character, and whether the first line is a row by itself."""
    for _, line in file.lines("\n"):
        if line is None:
            return "", False
        if not line.isspace():
            row = _Parser().line(line)
            # Something is wrong with such a line, and it is one all the same.
            return line.lstrip(_SPACE)[:1], not isinstance(row, Unread) or bool(row.detail)
    return "", False


def _items(file: TextFile) -> Iterator[Line]:
    """Gives the items of a list, holding no more of it at a time than an item needs; texts are rows by themselves."""
    parser = _Parser()
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
            while self._place < len(self._held) and self._held[self._place] in space:
                self._place += 1
            if self._place < len(self._held):
                return self._held[self._place]
            if not self._more():
                return ""

    def take(self, wanted: str, file: TextFile) -> None:
        """Goes past a character.

        Raises:
            DataError: Another is there.
        """
        if self._held[self._place : self._place + 1] != wanted:
            raise self.broken(file)
        self._place += 1

    def value(self, parser: _Parser, file: TextFile) -> tuple[Line, object]:
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
                if len(self._held) - self._place > LONGEST_LINE:
                    raise DataError(
                        f"{file.name} holds an item that is longer than {LONGEST_LINE:,} characters, or is not JSON: "
                        f"the one that begins on line {self._line():,}.",
                        hint="Correct it, or leave it out; one JSON object a line shows which.",
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
            f"The files of {file.source} cannot be read as a data set: {file.path} is not JSON from line {line:,} on.",
            hint="Write the list of objects again, or one JSON object a line.",
        )


def _objects(file: TextFile) -> list[Line] | None:
    """Returns the rows of a file of one object, or of objects that go over several lines; None if it is not such."""
    with file.text("\n") as text:
        content = text.read(LARGEST_DOCUMENT).removeprefix("\ufeff")
        if text.read(1):
            return None
    parser, place, rows, values = _Parser(), 0, list[Line](), list[object]()
    try:
        while place < len(content):
            if content[place] in _SPACE:
                place += 1
                continue
            row, value, place = parser.next(content, place)
            rows.append(row)
            values.append(value)
    except (ValueError, RecursionError):
        return None
    if len(values) == 1 and (columns := _columns_of(values[0])) is not None:
        return columns
    return rows


def _document(file: TextFile) -> Mapping[str, object]:
    with file.text("\n") as text:
        content = text.read(LARGEST_DOCUMENT).removeprefix("\ufeff")
        larger = bool(text.read(1))
    try:
        row, value, end = _Parser().next(content := content.strip(_SPACE), 0)
        larger = larger or end < len(content)
    except (ValueError, RecursionError):
        row, value = Unread(Reason.NOT_JSON), None
    if larger or isinstance(row, Unread) or not isinstance(value, dict):
        raise DataError(
            f"{file.name} is not one JSON object of at most {LARGEST_DOCUMENT:,} characters, as its card says.",
            hint="Choose another revision, or write one JSON object a line and name the file as `data[].path`.",
        )
    return value


def _rows_of_value(file: TextFile, value: object, called: str) -> Iterable[Line]:
    if isinstance(value, list):
        return [_item(item) for item in value]
    columns = _columns_of(value)
    if columns is None:
        raise DataError(
            f"{file.name} cannot be read as rows: {called} is not a list of objects.",
            hint="Choose another revision, or write one JSON object a line and name the file as `data[].path`.",
        )
    return columns


def _item(value: object) -> Line:
    if isinstance(value, dict):
        return value
    return {"text": value} if isinstance(value, str) else Unread(Reason.NOT_JSON, "it is not an object")


def _columns_of(value: object) -> list[Line] | None:
    """Returns the rows of an object that holds a list for each column; None if it does not."""
    if not isinstance(value, dict) or not value or not all(isinstance(column, list) for column in value.values()):
        return None
    if len({len(column) for column in value.values()}) != 1:
        return None
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _deeper(root: object, most: int) -> bool:
    pending: list[tuple[object, int]] = [(root, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > most:
            return True
        if isinstance(value, dict | list):
            inner: Callable[[], Iterable[object]] = value.values if isinstance(value, dict) else value.__iter__
            pending.extend((item, depth + 1) for item in inner() if isinstance(item, dict | list))
    return False


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
