"""What a command and the processes of its launcher tell each other, by files in a folder of the run.

Each process says that it has started, and how it ended; the main process writes lines of progress, which the command
draws. The command holds a lock as long as it lives, and writes which signal it got.
"""

import json
import os
import signal
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Self

from hubtune import errors, signals
from hubtune.errors import HubtuneError, InterruptedTrainingError
from hubtune.hub.translate import mask
from hubtune.records.base import Progress, ProgressTask, Record, write_atomic

FOLDER, LOCK, STOP, PROGRESS = ".launch", "lock", "stop", "progress.jsonl"
"""The folder in the run directory, and its files."""

# By which launchers, and MPI's, say how many processes there are and which one this is.
_COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")


def process_count() -> int:
    """Returns how many processes the launcher of this process has started; 1 without a launcher."""
    return _of_environment(_COUNTS, 1)


def process_rank() -> int:
    """Returns which of them this process is; the main one is 0."""
    return _of_environment(_RANKS, 0)


def _of_environment(names: Sequence[str], otherwise: int) -> int:
    return next((int(value) for name in names if (value := os.environ.get(name, "")).isdigit()), otherwise)


class Ended(Record):
    """How one process of a training ended.

    Attributes:
        error: The class of the error, of `hubtune.errors`; None if there was none, or none of hubtune's own.
        message: What went wrong; a traceback if it was a bug.
        hint: What to do next.
        details: Further lines.
        exit_code: The exit code.
        stopped_by: The signal that stopped it; None if none did.
    """

    error: str | None = None
    message: str = ""
    hint: str | None = None
    details: tuple[str, ...] = ()
    exit_code: int = 0
    stopped_by: int | None = None

    @classmethod
    def of(cls, error: BaseException | None) -> Self:
        """Returns what is to be told of an error."""
        if error is None:
            return cls()
        if isinstance(error, HubtuneError):
            return cls(
                error=type(error).__name__,
                message=error.message,
                hint=error.hint,
                details=error.details,
                exit_code=error.exit_code,
            )
        if isinstance(error, KeyboardInterrupt):
            number = error.number if isinstance(error, signals.Stopped) else signal.SIGINT
            return cls(stopped_by=number, exit_code=signals.exit_code(number))
        return cls(message=mask("".join(traceback.format_exception(error))), exit_code=1)

    def as_error(self) -> BaseException | None:
        """Returns the error again."""
        if self.exit_code == 0:
            return None
        if self.stopped_by is not None:
            return signals.Stopped(self.stopped_by)
        if self.error is None:
            return RuntimeError(f"A process of the training ended with a bug.\n{self.message}")
        if self.error == InterruptedTrainingError.__name__:
            return InterruptedTrainingError(self.message, hint=self.hint, exit_code=self.exit_code)
        kind: type[HubtuneError] = getattr(errors, self.error)
        return kind(self.message, hint=self.hint, details=self.details)


class Started(Record):
    """One process of a training: where it runs, and how many it found there are."""

    host: str
    pid: int
    count: int

    @classmethod
    def here(cls) -> Self:
        """Returns what is to be told of this process."""
        return cls(host=socket.gethostname(), pid=os.getpid(), count=process_count())

    @property
    def local(self) -> bool:
        """Whether it runs on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it runs still, as far as this machine can tell."""
        if not self.local:
            return True
        try:
            os.kill(self.pid, 0)
            # Until the launcher asks, one that has ended still has its number.
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except ProcessLookupError:
            return False
        except OSError:
            # Of somebody else, or a system without /proc.
            return True


def starts(folder: Path) -> dict[int, Started]:
    """Returns the processes that have started, by their rank."""
    return {int(path.stem): Started.read(path) for path in folder.glob("*.started")}


def ends(folder: Path) -> dict[int, Ended]:
    """Returns how those that have ended did, by their rank."""
    return {int(path.stem): Ended.read(path) for path in folder.glob("*.ended")}


def say_started(folder: Path, rank: int) -> None:
    """Says that this process has started."""
    write_atomic(folder / f"{rank}.started", Started.here().to_json())


def say_ended(folder: Path, rank: int, ended: Ended) -> None:
    """Says how this process ended."""
    write_atomic(folder / f"{rank}.ended", ended.to_json())


class ShownProgress:
    """Draws the lines of a file that another process writes.

    Args:
        path: The file, which need not exist yet.
        progress: What draws.
        tasks: Keeps the long steps until they end.
    """

    def __init__(self, path: Path, progress: Progress, tasks: ExitStack) -> None:
        self._path, self._progress, self._tasks = path, progress, tasks
        self._file: IO[str] | None = None
        self._rest = ""
        self._under_way: list[tuple[AbstractContextManager[ProgressTask], ProgressTask]] = []

    def go_on(self) -> None:
        """Draws what has come since."""
        if self._file is None:
            if not self._path.exists():
                return
            self._file = self._tasks.enter_context(self._path.open(encoding="utf-8"))
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            self._draw(*json.loads(line))

    def _draw(self, kind: str, *values: str | int) -> None:
        match kind, values:
            case "say", (str(message),):
                self._progress.say(message)
            case "warn", (str(message),):
                self._progress.warn(message)
            case "begin", (str(label), int(total), str(unit)):
                context = self._progress.task(label, total, unit="bytes" if unit == "bytes" else "steps")
                self._under_way.append((context, self._tasks.enter_context(context)))
            case "advance", (int(steps), str(note)):
                self._under_way[-1][1].advance(steps, note=note)
            case "end", ():
                context, _ = self._under_way.pop()
                context.__exit__(None, None, None)


class ToldProgress:
    """Progress that another process draws: each step as a line of a file. One that has no file drops it.

    Args:
        path: The file; None to drop all.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("a", encoding="utf-8", buffering=1)

    def say(self, message: str) -> None:
        """Tells one thing that happened."""
        self.write("say", message)

    def warn(self, message: str) -> None:
        """Tells one thing to look at."""
        self.write("warn", message)

    @contextmanager
    def task(self, label: str, total: int, *, unit: Literal["steps", "bytes"] = "steps") -> Iterator[ProgressTask]:
        """Tells of a long step while the context lasts."""
        self.write("begin", label, total, unit)
        yield _ToldStep(self)
        self.write("end")

    def write(self, *values: str | int) -> None:
        """Writes one line."""
        if self._file is not None:
            self._file.write(json.dumps(values) + "\n")


@dataclass(frozen=True)
class _ToldStep:
    told: ToldProgress

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self.told.write("advance", steps, note)
