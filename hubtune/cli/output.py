"""The output of commands: text or exactly one JSON document on stdout; messages and progress on stderr."""

import codecs
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal, TextIO, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from hubtune.errors import HubtuneError, OutputError
from hubtune.records.base import ProgressTask, Record, report_waits_to

_STDIN, _STDOUT, _STDERR = range(3)
# Control characters but the tab and the line feed, marks of direction, and what other programs take for line ends.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LINE_END = re.compile(r"[\r\n]\s*")


_Text = TypeVar("_Text", bound=io.TextIOWrapper)


class ReaderGoneError(OutputError):
    """Nobody reads stdout any longer, as when `head` has its lines; that is no fault, and ends the command quietly."""

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
    """Escapes what would control a terminal.

    Attributes:
        unfiltered: The same stream for what controls the terminal on purpose, such as a progress bar.
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
    """Returns a text in which characters that control a terminal or turn the direction of text are escaped."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Returns a text as one line without control characters, so that no part of it can pass for hubtune's output."""
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


_LINES = 10
# Lines closer together than this tell a reader of a log nothing.
_SECONDS_BETWEEN = 1.0
# If nobody knows how much is left, there are no tenths.
_SECONDS_UNKNOWN = 30.0


class TerminalProgress:
    """Progress for a person at a terminal or a log that keeps stderr."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet

    def say(self, message: str) -> None:
        """Prints one line, unless quiet."""
        if not self._quiet:
            self._console.print(_shown(message), highlight=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Prints one line that stands out."""
        self._console.print(f"[yellow]Warning:[/yellow] {_shown(message)}", highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, label: str, total: int, *, unit: Literal["steps", "bytes"] = "steps") -> Iterator[ProgressTask]:
        """Shows one long step while the context lasts."""
        if self._quiet:
            yield _Silent()
        elif self._console.is_terminal:
            with _bars(self._console, unit) as bars:
                bar = _Bar(bars, label, total)
                yield bar
                bar.finish()
        else:
            lines = _Lines(self._console, label, total, unit)
            yield lines
            lines.finish()


class _Silent:
    def advance(self, steps: int = 1, *, note: str = "") -> None:
        pass


class _Bar:
    def __init__(self, bars: Bars, label: str, total: int) -> None:
        self._bars, self._total, self._done = bars, total, 0
        self._task = bars.add_task(one_line(label), total=total or None, note="")

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self._done += steps
        self._bars.update(self._task, advance=steps, note=one_line(note))

    def finish(self) -> None:
        # What was there already, such as files in the cache, was never counted.
        whole = self._total or self._done
        self._bars.update(self._task, completed=whole, total=whole)


class _Lines:
    """Prints a line at a tenth of the way, so that a log shows that work goes on and stays short."""

    def __init__(self, console: Console, label: str, total: int, unit: str) -> None:
        self._console, self._label, self._total, self._unit = console, label, total, unit
        self._done = 0
        self._printed = 0
        self._started = self._last = time.monotonic()
        console.print(f"{_shown(label)} …", highlight=False, soft_wrap=True)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if not self._total:
            if now - self._last > _SECONDS_UNKNOWN:
                self._last = now
                self._print(f"{self._amount()} so far")
            return
        tenth = _LINES * self._done // self._total
        if tenth > self._printed and self._done < self._total and now - self._last > _SECONDS_BETWEEN:
            self._printed, self._last = tenth, now
            tail = f", {note}" if note else ""
            self._print(f"{100 * self._done // self._total}% ({self._amount()}){tail}")

    def finish(self) -> None:
        self._print(f"done in {time.monotonic() - self._started:.0f} s")

    def _amount(self) -> str:
        if self._unit == "bytes":
            return f"{self._done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB"
        return f"{self._done:,} of {self._total:,}" if self._total else f"{self._done:,}"

    def _print(self, text: str) -> None:
        self._console.print(f"{_shown(self._label)}: {_shown(text)}", highlight=False, soft_wrap=True)


def _shown(text: str) -> str:
    """Returns a text as one line, with nothing in it that rich or the terminal would take for an instruction."""
    return escape(one_line(text))


def _bars(console: Console, unit: str) -> Bars:
    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        amount,
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )


class Output:
    """The output of one command, as the options of the `hubtune` group ask for it."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._console = Console(file=terminal(), emoji=False)

    @cached_property
    def progress(self) -> TerminalProgress:
        """What the stages report to."""
        progress = TerminalProgress(self._console, quiet=self.quiet)
        report_waits_to(progress)
        return progress

    def result(self, record: Record, lines: Sequence[str] = (), *, verbatim: bool = False) -> None:
        """Prints the command's result: the record as JSON, or the lines for a person.

        Args:
            record: What the command made.
            lines: The same for a person.
            verbatim: Whether the lines are shown to the character: nothing in them is to be escaped.
        """
        if self.as_json:
            show(_fitting(record.to_json()))
        else:
            show("".join(f"{line if verbatim else one_line(line)}\n" for line in lines))

    def document(self, text: str) -> None:
        """Prints a result that is a JSON document with and without `--json`."""
        show(_fitting(text))

    def error(self, error: HubtuneError) -> None:
        """Prints what went wrong, why, and what to do next."""
        if self.as_json:
            document = {
                "error": {
                    "type": type(error).__name__,
                    "exit_code": error.exit_code,
                    "message": error.message,
                    "details": list(error.details),
                    "hint": error.hint,
                }
            }
            show(_fitting(json.dumps(document, indent=2, ensure_ascii=False) + "\n"))
        tell(f"Error: {one_line(error.message)}")
        for detail in error.details:
            tell(f"  - {one_line(detail)}")
        if error.hint:
            tell(f"What to do: {one_line(error.hint)}")


def _fitting(document: str) -> str:
    """Returns a JSON document in JSON's own escapes for what stdout has no letters for or what steers terminals."""
    return escaped_json(document) if holds_all_text() else json.dumps(json.loads(document), indent=2) + "\n"
