"""stdin, stdout and stderr as the commands use them, whatever the shell gave: closed, full, or of a small alphabet.

What an encoding lacks is escaped. A result that cannot be written to stdout is an error of its own. Talk that cannot be
written to stderr is left out, since the work goes on without it.
"""

import codecs
import io
import os
import sys
from typing import Any

from hubtune.errors import OutputError

_STDIN, _STDOUT, _STDERR = range(3)


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
    sys.stdout = _text(out, sys.stdout)
    sys.stderr = _text(_Stderr(_STDERR, "w", closefd=False), sys.stderr)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(raw: io.FileIO, before: Any) -> io.TextIOWrapper:
    if before is not None:
        before.flush()
    encoding = getattr(before, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=raw.isatty() or raw.fileno() == _STDERR
    )


def holds_all_text() -> bool:
    """Whether stdout is in an encoding of Unicode."""
    return codecs.lookup(sys.stdout.encoding).name.startswith("utf")


def show(text: str) -> None:
    """Prints a result to stdout, as it is.

    Raises:
        OutputError: It cannot be written.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def tell(line: str) -> None:
    """Prints a line to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def abandon_stdout() -> None:
    """Drops what waits to be written to stdout, which the interpreter would try again as it ends."""
    spare = os.open(os.devnull, os.O_WRONLY)
    os.dup2(spare, _STDOUT)
    os.close(spare)
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Stdout):
        raw.closed_by_shell = False
