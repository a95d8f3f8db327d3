"""Parses JSON values exactly as they are written: columns have no types, so no value is converted.

Texts that look like dates stay texts, whole numbers of any size stay exact, and a number with a fraction keeps its
notation.
"""

import json
from typing import TYPE_CHECKING

from hubtune.data.segments import DropReason, RawRow, UnreadableRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_IN_ROW = 1 << 20
"""Commas and brackets of one row: after each may come a value, of up to 240 bytes."""
SHORT = 1 << 22
"""Characters of a row that is too short to hold values that take a lot."""
LONGEST_KEY = 1000
"""Characters of the name of a column."""
MOST_DEPTH = 100
MOST_DIGITS = 400


class ExactNumber(float):
    """A number as the file writes it, such as 1.10, if Python would write it otherwise."""

    def __new__(cls, written: str) -> "ExactNumber":
        """Returns the number that `written` says."""
        number = super().__new__(cls, written)
        number.written = written
        return number

    written: str

    def __str__(self) -> str:
        """Returns what is in the file."""
        return self.written

    def __reduce__(self) -> tuple[type["ExactNumber"], tuple[str]]:
        """Keeps what is in the file if rows go to other processes."""
        return ExactNumber, (self.written,)


class JsonParser:
    """Parses one value at a time, and keeps what is wrong with the last."""

    def __init__(self) -> None:
        self._fault: UnreadableRow | None = None
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=self._fraction,
            parse_int=self._whole,
            parse_constant=self._constant,
        )

    def line(self, text: str) -> RawRow:
        """Returns the row on a line."""
        self._fault = None
        if len(text) > SHORT and values_in(text) > MOST_IN_ROW:
            return UnreadableRow(DropReason.HUGE, f"it has more than {MOST_IN_ROW:,} commas and brackets")
        try:
            value = self._decoder.decode(text)
        except ValueError:
            return UnreadableRow(DropReason.NOT_JSON)
        except RecursionError:
            return UnreadableRow(DropReason.NOT_JSON, f"it is nested more than {MOST_DEPTH} deep")
        return self._row(value)

    def next(self, text: str, place: int) -> tuple[RawRow, object, int]:
        """Returns the row that a value in a text is, the value, and the place after it.

        Raises:
            ValueError: There is none.
            RecursionError: It is nested too deeply.
        """
        self._fault = None
        value, end = self._decoder.raw_decode(text, place)
        return self._row(value), value, end

    def _row(self, value: object) -> RawRow:
        if self._fault is not None:
            return self._fault
        if not isinstance(value, dict):
            return UnreadableRow(DropReason.NOT_JSON, "it is not an object")
        if any(len(key) > LONGEST_KEY for key in value):
            return UnreadableRow(DropReason.HUGE, f"a key has more than {LONGEST_KEY:,} characters")
        if _deeper(value, MOST_DEPTH):
            return UnreadableRow(DropReason.NOT_JSON, f"it is nested more than {MOST_DEPTH} deep")
        return value

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self._fault = UnreadableRow(DropReason.NOT_JSON, "a key stands twice in an object")
        for key in found:
            if not key.isascii() and not _writable(key):
                self._fault = UnreadableRow(DropReason.NOT_JSON, "a key contains an unpaired surrogate")
        return found

    def _fraction(self, written: str) -> float:
        number = float(written)
        return number if repr(number) == written else ExactNumber(written)

    def _whole(self, written: str) -> float:
        if written == "-0":
            return ExactNumber(written)
        if len(written) > MOST_DIGITS:
            self._fault = UnreadableRow(DropReason.NOT_JSON, f"a number has more than {MOST_DIGITS} digits")
            return 0
        return int(written)

    def _constant(self, written: str) -> None:
        self._fault = UnreadableRow(DropReason.NOT_JSON, f"{written} is not a number in JSON")


def values_in(text: str, place: int = 0) -> int:
    """Returns how many values a text can hold at most, without the memory that they would take."""
    return sum(text.count(sign, place) for sign in ",[{")


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
