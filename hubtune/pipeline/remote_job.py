"""What a job of Hugging Face Jobs does for `hubtune run --remote`: the run that was requested, and its way back.

A job that is stopped or fails puts what it did onto the branch too, so that another job can resume it.
"""

import os
from collections.abc import Collection
from pathlib import Path

from hubtune import __version__, signals
from hubtune.config.load import load_config
from hubtune.errors import HubtuneError, InterruptedTrainingError, RemoteJobError
from hubtune.files import scratch_folder
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.exchange import CONFIG, LOCK, REQUEST, TAKEN, Exchange
from hubtune.pipeline.launch import Launcher
from hubtune.pipeline.run import pin_inputs, run_job
from hubtune.records.base import Progress, write_atomic
from hubtune.records.remote import JobRecord, RemoteRequest

_CHECKPOINTS = "checkpoints"


def do_request(repo: str, commit: str, progress: Progress) -> JobRecord:
    """In a job, does the run that was requested at a commit of the exchange repository, and commits it there.

    Raises:
        RemoteJobError: This is no job, the request is for another version, or another job does it.
        HubtuneError: The run failed. What there is of it was put onto the branch.
    """
    job_id = os.environ.get("JOB_ID")
    if not job_id:
        raise RemoteJobError(
            "The environment has no JOB_ID, so this is not a job of Hugging Face Jobs.",
            hint="Submit one: hubtune run --remote FLAVOR",
        )
    with scratch_folder() as folder:
        for name, content in Exchange(repo, "", progress).read(commit, [CONFIG, LOCK, REQUEST]).items():
            write_atomic(folder / name, content)
        request = RemoteRequest.read(folder / REQUEST)
        if request.version != __version__:
            raise RemoteJobError(
                f"The request is for hubtune {request.version}, and the job has {__version__}.",
                hint="Submit it again with the version that the job has.",
            )
        exchange = Exchange(repo, request.branch, progress)
        job = JobRecord(id=job_id, image=request.image, flavor=request.flavor)
        head = exchange.put({TAKEN: job.to_json().encode()}, commit, f"Taken by job {job.id}")
        run = folder / "run"
        exchange.fetch_run(head, run)
        options = RunOptions(
            publish=request.publish,
            propose=request.propose,
            resume=run.is_dir(),
            locked=True,
            run_dir=run,
            launcher=None if request.launch is None else Launcher.parse(request.launch),
            job=job,
        )
        _run_and_put(folder, options, exchange, head, progress)
    return job


def _run_and_put(folder: Path, options: RunOptions, exchange: Exchange, head: str, progress: Progress) -> None:
    run = options.folder
    config = load_config(folder / CONFIG)
    try:
        if options.resume:
            # The machine of the job that began had them.
            pin_inputs(config, folder / CONFIG, progress)
        run_job(config, folder / CONFIG, options, progress)
    except (HubtuneError, KeyboardInterrupt) as error:
        # From a checkpoint another job can resume; one that failed fails again.
        stopped = isinstance(error, InterruptedTrainingError | KeyboardInterrupt)
        with signals.saving():
            _put_rest(run, exchange, head, () if stopped else (_CHECKPOINTS,))
        raise
    exchange.put_run(run, head, "The run", leave_out=(_CHECKPOINTS,))


def _put_rest(run: Path, exchange: Exchange, head: str, leave_out: Collection[str]) -> None:
    try:
        if run.is_dir():
            exchange.put_run(run, head, "What a job left that ended early", leave_out=leave_out)
    except HubtuneError as error:
        exchange.progress.warn(f"What the job did is lost: {error.message}")
