"""stdin, stdout and stderr as the commands use them, whatever the shell gave: closed, full, or of a small alphabet.

What an encoding lacks is escaped. A result that cannot be written to stdout is an error of its own. Talk that cannot be
written to stderr is left out, since the work goes on without it.

Data, repositories and models hold text of strangers, which messages and results quote. Characters that steer a
terminal or turn the direction of text are escaped here, in all that goes to stderr, the logs of libraries included.
"""

import codecs
import io
import os
import re
import sys
from typing import Any, TextIO, TypeVar

from hubtune.errors import OutputError

_STDIN, _STDOUT, _STDERR = range(3)
# Control characters but the tab and the line feed, marks of direction, and what other programs take for line ends.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LINE_END = re.compile(r"[\r\n]\s*")


_Text = TypeVar("_Text", bound=io.TextIOWrapper)


class ReaderGoneError(OutputError):
    """Nobody reads stdout any more, as where `head` has its lines; that is no fault, and ends the command quietly."""

    exit_code = 141


class _Stdout(io.FileIO):
    closed_by_shell = False

    def write(self, data: Any) -> int:
        if self.closed_by_shell:
            raise OutputError("The result cannot be printed: stdout is closed.", hint="Send it to a file: > FILE")
        try:
            return super().write(data)
        except BrokenPipeError:
            raise ReaderGoneError("Nobody reads stdout.") from None
        except OSError as error:
            raise OutputError(
                f"The result cannot be printed: writing to stdout failed ({error.strerror}).",
                hint="Send it to a file on a disk with room: > FILE",
            ) from error


class _Stderr(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class _CleanText(io.TextIOWrapper):
    """Escapes what would steer a terminal.

    Attributes:
        unfiltered: The same stream for what steers the terminal on purpose, such as a progress bar.
    """

    unfiltered: io.TextIOWrapper

    def write(self, text: str) -> int:
        return super().write(escaped(text))


def prepare() -> None:
    """Puts streams that always can be used in place of the interpreter's."""
    lacking = [number for number in (_STDIN, _STDOUT, _STDERR) if not _is_open(number)]
    # Else the next file that is opened takes a stream's number, and gets what is printed.
    while (spare := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(spare, True)
    os.close(spare)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(_STDIN, closefd=False)), "utf-8")
    out = _Stdout(_STDOUT, "w", closefd=False)
    out.closed_by_shell = _STDOUT in lacking
    sys.stdout = _text(io.TextIOWrapper, out, sys.stdout)
    unfiltered = _text(io.TextIOWrapper, _Stderr(_STDERR, "w", closefd=False), sys.stderr)
    clean = _text(_CleanText, _Stderr(_STDERR, "w", closefd=False), sys.stderr)
    clean.unfiltered = unfiltered
    sys.stderr = clean


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(kind: type[_Text], raw: io.FileIO, before: Any) -> _Text:
    if before is not None:
        before.flush()
    encoding = getattr(before, "encoding", None) or "utf-8"
    return kind(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=raw.isatty() or raw.fileno() == _STDERR
    )


def holds_all_text() -> bool:
    """Whether stdout is in an encoding of Unicode."""
    return codecs.lookup(sys.stdout.encoding).name.startswith("utf")


def terminal() -> TextIO:
    """Returns stderr for what draws on a terminal, and cleans the texts that it draws."""
    return sys.stderr.unfiltered if isinstance(sys.stderr, _CleanText) else sys.stderr


def escaped(text: str) -> str:
    """Returns a text in which characters that steer a terminal or turn the direction of text are escaped."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Returns a text as one line that steers no terminal, so that no part of it passes for a line of hubtune's own."""
    return escaped(_LINE_END.sub(" ", text))


def escaped_json(document: str) -> str:
    """Returns a JSON document with the same values, in which JSON's own escapes stand for the same characters."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def show(text: str) -> None:
    """Prints a result to stdout, as it is.

    Raises:
        OutputError: It cannot be written.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def tell(text: str) -> None:
    """Prints text and a line end to stderr."""
    sys.stderr.write(f"{escaped(text)}\n")
    sys.stderr.flush()


def abandon_stdout() -> None:
    """Drops what waits to be written to stdout, which the interpreter would try again as it ends."""
    spare = os.open(os.devnull, os.O_WRONLY)
    os.dup2(spare, _STDOUT)
    os.close(spare)
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Stdout):
        raw.closed_by_shell = False
