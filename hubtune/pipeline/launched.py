"""A stage in one of the processes that a launcher has started for a command; the main process writes the records."""

import contextlib
import fcntl
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from hubtune.errors import LaunchError
from hubtune.hub.translate import mask
from hubtune.pipeline import launch_reports as reports
from hubtune.pipeline.context import RunContext
from hubtune.pipeline.stages import measure_run, run_data

_SECONDS = 0.1

Work = Callable[[RunContext], None]
"""What each of the processes does; the main one writes what comes of it."""


def work(path: Path, folder: Path, do: Work) -> None:
    """Does one process's part of a stage.

    Args:
        path: The run directory.
        folder: Where the command that started the launcher looks.
        do: `train_share` or `evaluate_share`.
    """
    rank = reports.process_rank()
    reports.say_started(folder, rank)
    threading.Thread(target=_obey, args=(folder, rank), daemon=True).start()
    try:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
            # Before torch looks for GPUs: models and accelerate must agree on where they are.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        do(RunContext.open(path, reports.ToldProgress(folder / reports.PROGRESS if rank == 0 else None)))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the command is to know, and raises it again
        ended = reports.Ended.of(error)
        reports.say_ended(folder, rank, ended)
        print(mask("".join(traceback.format_exception(error))), file=sys.stderr, flush=True)
        # At once: a library that waits for another process to answer would have this one wait too.
        os._exit(ended.exit_code)
    reports.say_ended(folder, rank, reports.Ended.of(None))


def train_share(context: RunContext, *, resume: bool) -> None:
    """Trains in one of several processes.

    Args:
        context: The run, whose data is recorded.
        resume: Whether to resume from the newest complete checkpoint.
    """
    from hubtune.train.processes import Processes
    from hubtune.train.training import train

    processes = Processes.join(context.config)
    record = train(context.train_job(run_data(context), resume=resume, processes=processes))
    if processes.main:
        context.run.write(record)
    processes.leave()


def evaluate_share(context: RunContext) -> None:
    """Evaluates in one of several processes; each batch is measured in one of them, and all metrics in each."""
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
    with contextlib.suppress(OSError), (folder / reports.LOCK).open() as lock:
        while True:
            time.sleep(_SECONDS)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                break
            if rank == 0 and not told and (folder / reports.STOP).exists():
                told = True
                os.kill(os.getpid(), int((folder / reports.STOP).read_text()))
    os._exit(LaunchError.exit_code)
