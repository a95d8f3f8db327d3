"""The text of data files: local or on the Hub, compressed or not, in any encoding that the config names.

An encoding is never guessed: a file with invalid bytes is refused with the position of the first one. This module reads
the rows of plain text, by line, paragraph or document, and gives CSV and JSON their lines.
"""

import codecs
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, TextIO, cast

from hubtune.data.decompression import DAMAGE, unpacked
from hubtune.data.segments import DropReason, RawRow, UnreadableRow
from hubtune.errors import DataError

MOST_COLUMNS = 10_000
"""Columns of a dataset; with more, keys hold what belongs into values, or a separator is wrong."""
LONGEST_LINE = 1 << 24
"""Characters of a line that is read at once; a longer one is refused, or left out."""
MOST_BLANK = 1 << 24
"""Blank lines one after the other."""
_PEEK = 16
_CHUNK = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_COLUMN = "text"
_PIECE = 1 << 20
_TOO_LONG = UnreadableRow(DropReason.HUGE, f"more than {LONGEST_LINE:,} characters")


@dataclass(frozen=True)
class FileRows:
    """The rows of a split, or a part of them; read again whenever they are gone through.

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
    every: Callable[[Sequence[str]], Iterator[RawRow]]
    separator: str | None = None
    start: int = 0

    def part(self, start: int, end: int | None) -> "FileRows":
        """Returns the rows from `start` to before `end`; None stands for the last row."""
        ends = [known for known in (end, self.total) if known is not None]
        total = max(0, min(ends) - start) if ends else None
        return replace(self, start=self.start + start, total=total)

    def read(self, wanted: Sequence[str]) -> Iterator[RawRow]:
        """Gives the rows with the wanted columns alone, in order."""
        end = None if self.total is None else self.start + self.total
        return itertools.islice(self.every(wanted), self.start, end)

    def __len__(self) -> int:
        return self.total or 0


@dataclass(frozen=True)
class TextFile:
    """A file of a dataset that holds text.

    Attributes:
        path: Its path in the repository, or its name if it is a local file.
        source: What to call the dataset.
        encoding: The name of its encoding as Python knows it.
        opened: Opens its bytes from the start.
    """

    path: str
    source: str
    encoding: str
    opened: Callable[[], BinaryIO]

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self.path if self.path == self.source else f"{self.path} of {self.source}"

    @contextmanager
    def text(self, newline: str | None = "") -> Iterator[TextIO]:
        """Opens the text, without a byte order mark.

        Args:
            newline: As for `open`: "" ends lines at CR, LF and CR LF and keeps these, None makes LF of them.

        Raises:
            DataError: It is not text in its encoding, is damaged, or holds a compressed stream that cannot be read.
        """
        with self._bytes() as content:
            codec = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
            text = io.TextIOWrapper(content, encoding=codec, newline=newline)
            try:
                yield text
            except UnicodeError:
                raise self._explained() from None
            finally:
                text.detach()

    def lines(self, newline: str | None = "") -> Iterator[tuple[int, str | None]]:
        """Gives the lines with their numbers, from 1; None for one that is longer than `LONGEST_LINE`.

        Raises:
            DataError: It is not text, as for `text`, or has more than `MOST_BLANK` blank lines one after the other.
        """
        with self.text(newline) as text:
            number = blank = 0
            while line := text.readline(LONGEST_LINE):
                number += 1
                whole = len(line) < LONGEST_LINE or line[-1] in "\r\n"
                if number == 1:
                    # Encodings that state the order of bytes leave the mark to the reader.
                    line = line.removeprefix("\ufeff")
                blank = blank + 1 if line.isspace() else 0
                if blank > MOST_BLANK:
                    raise DataError(
                        f"{self.name} has more than {MOST_BLANK:,} blank lines one after the other, up to line "
                        f"{number:,}.",
                        hint="Take them out of the file; they hold no row.",
                    )
                yield number, line if whole else None
                while not whole:
                    line = text.readline(LONGEST_LINE)
                    whole = len(line) < LONGEST_LINE or line[-1] in "\r\n"

    @contextmanager
    def _bytes(self) -> Iterator[io.BufferedReader]:
        with self.opened() as raw:
            start = raw.read(_PEEK)
            raw.seek(0)
            try:
                yield io.BufferedReader(cast("io.RawIOBase", unpacked(raw, start, self.name)))
            except (*DAMAGE, OSError) as error:
                # What the operating system says has a number, what a Hub's client says a type, and a decompressor none.
                if not isinstance(error, DAMAGE) and (type(error) is not OSError or error.errno is not None):
                    raise
                raise DataError(
                    f"{self.name} is damaged: what is compressed in it cannot be read to its end.",
                    hint="Get the file again, or choose another revision of the dataset.",
                ) from None

    def _explained(self) -> DataError:
        """Returns the error for bytes that are not in the encoding, with the place of the first."""
        offset, line = self._first_wrong()
        with self._bytes() as content:
            start = content.read(4)
        asked = codecs.lookup(self.encoding).name == "utf-8"
        found = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        called = "UTF-8" if asked else self.encoding
        if asked and found is not None:
            looks, fix, name = f"; it begins with the mark of {found.upper()}", found, found.upper()
        else:
            looks, fix, name = "", "latin-1, cp1252, gbk or utf-16", "LATIN1"
        return DataError(
            f"{self.name} is not {called}: its byte {offset + 1:,} (offset {offset}), on line {line:,}, "
            f"is not part of such a text{looks}.",
            hint=f"Give its encoding as `data[].encoding`, such as {fix}; or write it as UTF-8: "
            f"iconv -f {name} -t UTF-8 OLD > NEW",
        )

    def _first_wrong(self) -> tuple[int, int]:
        """Returns the offset of the first wrong byte, of what a compressed file holds, and its line from 1."""
        decoder = codecs.getincrementaldecoder(self.encoding)()
        offset, line, before = 0, 1, ""
        with self._bytes() as content:
            while True:
                chunk = content.read(_CHUNK)
                waiting = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    good = error.object[: error.start].decode(self.encoding, errors="ignore")
                    return offset - waiting + error.start, line + _line_ends(good, before)
                except UnicodeError:
                    # What a codec says of a mark that is missing: nothing of the text fits.
                    return 0, 1
                line += _line_ends(text, before)
                before = text[-1:] or before
                offset += len(chunk)
                if not chunk:
                    return offset, line


def check_plain(file: TextFile) -> None:
    """Refuses a file that holds UTF-16 or UTF-32 without a mark, which passes for UTF-8 with NUL characters.

    Raises:
        DataError: It does.
    """
    if codecs.lookup(file.encoding).name != "utf-8":
        return
    with file._bytes() as content:
        start = content.read(4)
    if any(start.startswith(mark) for mark in _MARKS):
        raise file._explained()
    if len(start) == 4 and start.count(0) >= 2:
        offset = start.index(0)
        if start.count(0) == 3:
            guess = "utf-32-le" if offset else "utf-32-be"
        else:
            guess = "utf-16-le" if offset else "utf-16-be"
        raise DataError(
            f"{file.name} is not UTF-8: its byte {offset + 1} (offset {offset}), on line 1, is a NUL, as in "
            f"{guess.upper()}.",
            hint=f"Give its encoding as `data[].encoding`: {guess}; or write it as UTF-8.",
        )


def _line_ends(text: str, before: str) -> int:
    """Counts CR, LF and CR LF; `before` is the character before the text."""
    split = before == "\r" and text.startswith("\n")
    return text.count("\n") + text.count("\r") - text.count("\r\n") - split


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

    def every(wanted: Sequence[str]) -> Iterator[RawRow]:
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
        held, larger = text.read(_PIECE).removeprefix("\ufeff"), False
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
            more = text.read(_PIECE)
            if not more:
                break
            held += more
    whole = held.lstrip("\n") if end else held
    if larger or whole:
        yield None if larger else whole
