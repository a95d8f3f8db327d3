"""A stage in the processes of a launcher, such as `accelerate launch` or `torchrun`; all else stays in the command.

The command starts the launcher and draws what the main process reports. Both sides talk through a folder of the run:
lines of progress, how each process ended, a stop, and a lock that the command holds as long as it lives, so that no
process outlives it.
"""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Self

from hubtune import errors, signals
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, HubtuneError, InterruptedTrainingError, LaunchError, RecordError
from hubtune.files import file_errors
from hubtune.pipeline.context import RunContext
from hubtune.records.base import Progress, ProgressTask, Record, write_atomic
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.sharding import require_possible, sharding_of

LOG = "launch.log"
"""What the launcher and its processes print, in the run directory."""

_FOLDER, _LOCK, _STOP, _PROGRESS = ".launch", "lock", "stop", "progress.jsonl"
_SECONDS = 0.1
# How long the others may take to end by themselves: after one was killed, and after one that said why it ends.
_AFTER_LOSS, _AFTER_ERROR = 1.0, 10.0
_LAST_LINES = 5
# By which launchers, and MPI's, say how many processes there are and which one this is.
_COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
_ASKED = ("--num_processes", "--num-processes", "--nproc_per_node", "--nproc-per-node", "-np")


def refuse_launched() -> None:
    """Refuses to do a whole command in each process of a launcher.

    Raises:
        ConfigError: A launcher started this process.
    """
    if _of_environment(_COUNTS, 1) > 1:
        raise ConfigError(
            "A launcher started this command several times at once, so each record would be written several times.",
            hint='Let hubtune start the launcher, only for the training: --launch "torchrun --nproc_per_node 2"',
        )


def require_launcher(config: TuneConfig, launcher: "Launcher | None") -> None:
    """Refuses what splits a training's memory over processes where there are none, or where it cannot work.

    Raises:
        ConfigError: It is for a launcher's processes, or contradicts the config.
        MissingExtraError: DeepSpeed is not installed.
    """
    sharding = sharding_of(config.train, {})
    if sharding is not None and launcher is None:
        key = "train.fsdp" if config.train.fsdp else "train.deepspeed"
        raise ConfigError(
            f"{key} splits the memory over the processes of a launcher, and none was given.",
            hint='Add one, such as --launch "accelerate launch --num_processes 2"; or take the key out.',
        )
    require_possible(config, sharding, cuda=shutil.which("nvidia-smi") is not None)


def split_command(text: str) -> list[str]:
    """Splits the command line of a launcher as a shell would.

    Raises:
        ConfigError: It is no command line.
    """
    example = '--launch "accelerate launch --num_processes 2"'
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--launch {text!r} is not a command line: {error}.", hint=f"Example: {example}") from None
    if not words:
        raise ConfigError("--launch was given no command.", hint=f"Name the launcher, such as {example}")
    return words


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
        return cls(message="".join(traceback.format_exception(error)), exit_code=1)

    @property
    def says_why(self) -> bool:
        """Whether it is an error of hubtune's own, or a stop."""
        return self.error is not None or self.stopped_by is not None

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


class _Started(Record):
    """One process of a training: where it runs, and how many it found there are."""

    host: str
    pid: int
    count: int


@dataclass(frozen=True)
class Launcher:
    """A launcher that a user named.

    Attributes:
        words: Its command line, whose first word is the program's path.
    """

    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Splits a command line as a shell would, and finds its program; no shell runs it.

        Raises:
            ConfigError: It is no command line, or there is no such program.
        """
        words = split_command(text)
        # Beside the interpreter first: a launcher of another environment would start its own Python.
        own = str(Path(sys.executable).parent)
        program = shutil.which(words[0], path=os.pathsep.join([own, os.environ.get("PATH", os.defpath)]))
        if program is None:
            raise ConfigError(
                f"The launcher {words[0]} is not installed: there is no program of that name here.",
                hint="Install it, or use one that comes with hubtune[train]: `accelerate launch` or `torchrun`.",
            )
        return cls((program, *words[1:]))

    def __str__(self) -> str:
        return shlex.join([Path(self.words[0]).name, *self.words[1:]])

    @property
    def asked(self) -> int | None:
        """How many processes its options ask for, if they say."""
        for number, word in enumerate(self.words):
            option, _, value = word.partition("=")
            if option in _ASKED:
                value = value or next(iter(self.words[number + 1 :]), "")
                return int(value) if value.isdigit() else None
        return None

    def train(self, context: RunContext, *, resume: bool) -> TrainingRecord:
        """Trains the run, whose data is recorded, in the launcher's processes.

        Returns:
            The record that the main process wrote.

        Raises:
            HubtuneError: What a process raised.
            LaunchError: The launcher failed, or one of its processes was killed.
        """
        self._do(context, "train", *(["--resume"] if resume else []))
        return context.run.read(TrainingRecord)

    def evaluate(self, context: RunContext) -> EvaluationRecord:
        """Evaluates the run in the launcher's processes, which share out the batches.

        Returns:
            The record that the main process wrote.

        Raises:
            HubtuneError: As `train`.
        """
        self._do(context, "evaluate")
        return context.run.read(EvaluationRecord)

    def _do(self, context: RunContext, stage: str, *more: str) -> None:
        run = context.run
        stops: list[int] = []
        with _supervising(run) as folder, signals.noticed(stops.append), ExitStack() as tasks:
            shown = _Shown(folder / _PROGRESS, context.progress, tasks)
            program = [*self.words, "-m", "hubtune", stage, str(run.path), "--launched", str(folder), *more]
            with (run.path / LOG).open("wb") as log:
                process = subprocess.Popen(
                    program,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # A terminal's Ctrl-C is for this process, which has the others save a checkpoint.
                    start_new_session=True,
                )
                try:
                    lost = self._follow(process, folder, shown, stops)
                finally:
                    _end(process, folder)
            # Within the long steps that are under way, which then do not end as if they were done.
            self._require_success(process.returncode, folder, run, lost)
        if stops:
            raise signals.Stopped(stops[0])

    def _follow(
        self, process: "subprocess.Popen[bytes]", folder: Path, shown: "_Shown", stops: Sequence[int]
    ) -> list[int]:
        """Draws what the main process reports, until the launcher has ended or one of its processes has failed.

        Returns:
            The processes that were lost first, after which others are lost too.
        """
        failed: float | None = None
        lost: list[int] = []
        while True:
            running = process.poll() is None
            shown.go_on()
            ended = [end for end in _ends(folder).values() if end.exit_code]
            # Whoever is lost after another said why it ends was ended because of it. A bug says nothing: a library
            # fails where the other side of a connection is gone.
            lost = lost or ([] if any(end.says_why for end in ended) else _lost(folder))
            if not running:
                return lost
            self._require_several(_starts(folder))
            if stops and not (folder / _STOP).exists():
                write_atomic(folder / _STOP, str(stops[0]))
            if failed is None and (lost or ended):
                failed = time.monotonic()
            if failed is not None and time.monotonic() - failed > (_AFTER_LOSS if lost else _AFTER_ERROR):
                return lost
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS)

    def _require_several(self, started: Mapping[int, "_Started"]) -> None:
        if (self.asked or 1) > 1 and any(start.count == 1 for start in started.values()):
            raise ConfigError(
                f"The launcher was asked for {self.asked} processes, and started one: `{self}`. "
                "Without a GPU, `accelerate launch` starts several only with its option --multi_gpu.",
                hint=f'Use --launch "accelerate launch --multi_gpu --num_processes {self.asked}", or '
                f'--launch "torchrun --nproc_per_node {self.asked}"; both work without a GPU too.',
            )

    def _require_success(self, code: int, folder: Path, run: RunDirectory, lost: Sequence[int]) -> None:
        ended, started = _ends(folder), _starts(folder)
        if lost:
            pids = " and ".join(f"{rank} (pid {started[rank].pid})" for rank in lost)
            raise LaunchError(
                f"The training lost process {pids} of {started[lost[0]].count}: it was killed from outside, as systems "
                "do when memory is used up. The other processes were stopped.",
                details=_last_lines(run.path / LOG),
                hint=f"Resume from the newest checkpoint: hubtune train {run.path} --resume --launch '{self}'. "
                f"The output of all processes is in {run.path / LOG}.",
            )
        raised = [ended[rank].as_error() for rank in sorted(ended)]
        told = [error for error in raised if isinstance(error, HubtuneError | KeyboardInterrupt)]
        if told:
            if isinstance(told[0], InterruptedTrainingError) and told[0].hint:
                told[0].hint += f" --launch {shlex.quote(str(self))}"
            raise told[0]
        for error in raised:
            if error is not None:
                raise error
        if code != 0 or not started:
            raise LaunchError(
                f"The launcher `{self}` ended with exit code {code}, and "
                f"{'its training ended well' if started else 'started no training'}.",
                details=_last_lines(run.path / LOG),
                hint=f"Run the launcher by itself to see the problem. {run.path / LOG} has all of its output.",
            )


@contextmanager
def _supervising(run: RunDirectory) -> Iterator[Path]:
    """Gives the empty folder through which the processes of a training talk, and holds its lock.

    Raises:
        RecordError: Another training of the run holds it.
    """
    folder = run.path / _FOLDER
    with file_errors(run.path):
        folder.mkdir(exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(
                f"Another command trains {run.path} at this moment.", hint="Wait for it, or stop it first."
            ) from None
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _lost(folder: Path) -> list[int]:
    """Returns the processes that run no more, and did not say why."""
    gone = [rank for rank, start in _starts(folder).items() if not _alive(start)]
    # Looked up after the others were: one that ended has said so before.
    ended = _ends(folder)
    return sorted(rank for rank in gone if rank not in ended)


def _alive(start: _Started) -> bool:
    if start.host != socket.gethostname():
        return True
    try:
        os.kill(start.pid, 0)
        # Until the launcher asks, one that has ended still has its number.
        return Path(f"/proc/{start.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        # Of somebody else, or a system without /proc.
        return True


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Ends what is left of the launcher and its processes, which are in sessions of their own."""
    for start in _starts(folder).values():
        if start.host == socket.gethostname() and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(start.pid, signal.SIGKILL)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _starts(folder: Path) -> dict[int, _Started]:
    return {int(path.stem): _Started.read(path) for path in folder.glob("*.started")}


def _ends(folder: Path) -> dict[int, Ended]:
    return {int(path.stem): Ended.read(path) for path in folder.glob("*.ended")}


def _last_lines(log: Path) -> list[str]:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-_LAST_LINES:]


class _Shown:
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


class _Told:
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
        yield _ToldTask(self)
        self.write("end")

    def write(self, *values: str | int) -> None:
        """Writes one line."""
        if self._file is not None:
            self._file.write(json.dumps(values) + "\n")


@dataclass(frozen=True)
class _ToldTask:
    told: _Told

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self.told.write("advance", steps, note)


Work = Callable[[RunContext], None]
"""What each of the processes does; the main one writes what comes of it."""


def work(path: Path, folder: Path, do: Work) -> None:
    """Does one process's part of a stage.

    Args:
        path: The run directory.
        folder: Where the command that started the launcher looks.
        do: `train_share` or `evaluate_share`.
    """
    rank = _of_environment(_RANKS, 0)
    started = _Started(host=socket.gethostname(), pid=os.getpid(), count=_of_environment(_COUNTS, 1))
    write_atomic(folder / f"{rank}.started", started.to_json())
    threading.Thread(target=_obey, args=(folder, rank), daemon=True).start()
    try:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
            # Before torch looks for GPUs: models and accelerate must agree on where they are.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        do(RunContext.open(path, _Told(folder / _PROGRESS if rank == 0 else None)))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the command is to know, and raises it again
        write_atomic(folder / f"{rank}.ended", Ended.of(error).to_json())
        traceback.print_exception(error)
        sys.stderr.flush()
        # At once: a library that waits for another process to answer would have this one wait too.
        os._exit(Ended.of(error).exit_code)
    write_atomic(folder / f"{rank}.ended", Ended.of(None).to_json())


def train_share(context: RunContext, *, resume: bool) -> None:
    """Trains in one of several processes.

    Args:
        context: The run, whose data is recorded.
        resume: Whether to resume from the newest complete checkpoint.
    """
    from hubtune.pipeline.stages import run_data
    from hubtune.train.processes import Processes
    from hubtune.train.training import train

    processes = Processes.join(context.config)
    record = train(context.train_job(run_data(context), resume=resume, processes=processes))
    if processes.main:
        context.run.write(record)
    processes.leave()


def evaluate_share(context: RunContext) -> None:
    """Evaluates in one of several processes; each batch is measured in one of them, and all metrics in each."""
    from hubtune.pipeline.stages import measure_run, run_data
    from hubtune.train.processes import Processes

    processes = Processes.join(context.config, trains=False)
    found = measure_run(context, run_data(context), quiet=not processes.main)
    if processes.main:
        context.run.write(found.probe)
        context.run.write(found.evaluation)
    processes.leave()


def _obey(folder: Path, rank: int) -> None:
    """Has the main process stop when the command is told to, and every process end when the command is gone."""
    told = False
    with contextlib.suppress(OSError), (folder / _LOCK).open() as lock:
        while True:
            time.sleep(_SECONDS)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                break
            if rank == 0 and not told and (folder / _STOP).exists():
                told = True
                os.kill(os.getpid(), int((folder / _STOP).read_text()))
    os._exit(errors.LaunchError.exit_code)
