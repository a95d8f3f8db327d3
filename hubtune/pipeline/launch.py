"""A stage in the processes of a launcher, such as `accelerate launch` or `torchrun`; all else stays in the command.

The command starts the launcher and draws what the main process reports. Both sides talk through a folder of the run:
lines of progress, how each process ended, a stop, and a lock that the command holds as long as it lives, so that no
process outlives it.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hubtune import signals
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, HubtuneError, InterruptedTrainingError, LaunchError, RecordError
from hubtune.files import file_errors
from hubtune.hub.translate import mask
from hubtune.pipeline import launch_reports as reports
from hubtune.records.base import Progress, write_atomic
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.sharding import require_possible, sharding_of

LOG = "launch.log"
"""What the launcher and its processes print, in the run directory."""

_SECONDS = 0.1
# How long the others may take to end by themselves: after one was killed, and after one that said why it ends.
_AFTER_LOSS, _AFTER_ERROR = 1.0, 10.0
_LAST_LINES = 5
_TRAIN, _EVALUATE = "train", "evaluate"
_ASKED = ("--num_processes", "--num-processes", "--nproc_per_node", "--nproc-per-node", "-np")


def refuse_launched() -> None:
    """Refuses to do a whole command in each process of a launcher.

    Raises:
        ConfigError: A launcher started this process.
    """
    if reports.process_count() > 1:
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

    def train(self, run: RunDirectory, progress: Progress, *, resume: bool) -> TrainingRecord:
        """Trains the run, whose data is recorded, in the launcher's processes.

        Returns:
            The record that the main process wrote.

        Raises:
            HubtuneError: What a process raised.
            LaunchError: The launcher failed, or one of its processes was killed.
        """
        self._do(run, progress, _TRAIN, *(["--resume"] if resume else []))
        return run.read(TrainingRecord)

    def evaluate(self, run: RunDirectory, progress: Progress) -> EvaluationRecord:
        """Evaluates the run in the launcher's processes, which share out the batches.

        Returns:
            The record that the main process wrote.

        Raises:
            HubtuneError: As `train`.
        """
        self._do(run, progress, _EVALUATE)
        return run.read(EvaluationRecord)

    def _do(self, run: RunDirectory, progress: Progress, stage: str, *more: str) -> None:
        stops: list[int] = []
        with _supervising(run) as folder, signals.noticed(stops.append), ExitStack() as tasks:
            shown = reports.ShownProgress(folder / reports.PROGRESS, progress, tasks)
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
            self._require_success(process.returncode, run, stage, lost)
        if stops:
            raise signals.Stopped(stops[0])

    def _follow(
        self, process: "subprocess.Popen[bytes]", folder: Path, shown: reports.ShownProgress, stops: Sequence[int]
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
            ended = [end for end in reports.ends(folder).values() if end.exit_code]
            # Whoever is lost comes first: the others then fail in libraries, at a connection whose other side is gone.
            lost = lost or _lost(folder)
            if not running:
                return lost
            self._require_several(reports.starts(folder))
            if stops and not (folder / reports.STOP).exists():
                write_atomic(folder / reports.STOP, str(stops[0]))
            if failed is None and (lost or ended):
                failed = time.monotonic()
            if failed is not None and time.monotonic() - failed > (_AFTER_LOSS if lost else _AFTER_ERROR):
                return lost
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS)

    def _require_several(self, started: Mapping[int, reports.Started]) -> None:
        if (self.asked or 1) > 1 and any(start.count == 1 for start in started.values()):
            raise ConfigError(
                f"The launcher was asked for {self.asked} processes, and started one: `{self}`. "
                "Without a GPU, `accelerate launch` starts several only with its option --multi_gpu.",
                hint=f'Use --launch "accelerate launch --multi_gpu --num_processes {self.asked}", or '
                f'--launch "torchrun --nproc_per_node {self.asked}"; both work without a GPU too.',
            )

    def _require_success(self, code: int, run: RunDirectory, stage: str, lost: Sequence[int]) -> None:
        ended, started = reports.ends(run.path / reports.FOLDER), reports.starts(run.path / reports.FOLDER)
        if lost:
            pids = " and ".join(f"{rank} (pid {started[rank].pid})" for rank in lost)
            raise LaunchError(
                f"`hubtune {stage}` lost process {pids} of {started[lost[0]].count}: it was killed from outside, as "
                "systems do when memory is used up. The other processes were stopped.",
                details=_last_lines(run.path / LOG),
                hint=f"{'Resume from the newest checkpoint' if stage == _TRAIN else 'Try again'}: hubtune {stage} "
                f"{run.path}{' --resume' if stage == _TRAIN else ''} --launch {shlex.quote(str(self))}. "
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
                f"{'its processes ended well' if started else 'started no process of hubtune'}.",
                details=_last_lines(run.path / LOG),
                hint=f"Run the launcher by itself to see the problem. {run.path / LOG} has all of its output.",
            )


@contextmanager
def _supervising(run: RunDirectory) -> Iterator[Path]:
    """Gives the empty folder through which the processes talk, and holds its lock.

    Raises:
        RecordError: Another command holds it.
    """
    folder = run.path / reports.FOLDER
    with file_errors(run.path):
        folder.mkdir(exist_ok=True)
    with (folder / reports.LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(
                f"Another command works on {run.path} with a launcher at this moment.",
                hint="Wait for it, or stop it first.",
            ) from None
        for path in folder.iterdir():
            if path.name != reports.LOCK:
                path.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _lost(folder: Path) -> list[int]:
    """Returns the processes that run no more, and did not say why."""
    gone = [rank for rank, start in reports.starts(folder).items() if not start.alive]
    # Looked up after the others were: one that ended has said so before.
    ended = reports.ends(folder)
    return sorted(rank for rank in gone if rank not in ended)


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Ends what is left of the launcher and its processes, which are in sessions of their own."""
    for start in reports.starts(folder).values():
        if start.local and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(start.pid, signal.SIGKILL)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(log: Path) -> list[str]:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return [mask(line) for line in lines[-_LAST_LINES:]]
