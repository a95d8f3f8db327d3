"""Draws a stage's progress on stderr: bars when it is a terminal, plain lines when not, nothing when quiet."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from hubtune.cli.streams import one_line
from hubtune.records.progress import Task

_LINES = 10
# Lines closer together than this tell a reader of a log nothing.
_SECONDS_BETWEEN = 1.0
# Where nobody knows how much is left, there are no tenths.
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
    def task(self, label: str, total: int, *, unit: Literal["steps", "bytes"] = "steps") -> Iterator[Task]:
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
            self._print(f"{100 * self._done // self._total} % ({self._amount()}){tail}")

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
