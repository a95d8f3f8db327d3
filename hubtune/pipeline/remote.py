"""A run on Hugging Face Jobs: submitted once, followed through lost connections, fetched, and then like a run of here.

What is known of the job is in the run directory before it is submitted, so that a run that was stopped at any moment is
found again, by a label of the job if its id was not stored yet.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from hubtune import __version__
from hubtune.config.evaluation import BUILT_IN
from hubtune.config.load import dump_config, evaluation_digest, local_files, training_digest
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, HubError, RecordError, RemoteJobError
from hubtune.files import file_errors, read_bytes
from hubtune.hub import jobs
from hubtune.hub.client import current_token, requests_sent_once
from hubtune.hub.read import whoami
from hubtune.hub.retries import Retries
from hubtune.pin import lock_file, write_lock
from hubtune.pipeline.check import Checks, check_run
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.exchange import CONFIG, LOCK, NAME, REQUEST, Exchange
from hubtune.pipeline.launch import require_launcher, split_command
from hubtune.pipeline.planning import card_inputs
from hubtune.pipeline.run import Outcome, find_run
from hubtune.publish.preflight import refuse_secrets
from hubtune.records.base import PinSet, Progress, sha256_bytes, sha256_file
from hubtune.records.release import ReleaseRecord
from hubtune.records.remote import RemoteRecord, RemoteRequest
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import CONFIG as RUN_CONFIG
from hubtune.records.rundir import RunDirectory, WrittenRecord

_LABEL = "hubtune-run"
_REMOTE = "remote.json"
_PINS = "pins.json"
_WRITTEN = "written.json"
# Lost connections in a row, each after several attempts of the client itself.
_ATTEMPTS = 12
# After this many of them, the wait before the next attempt grows no more.
_LONGEST_WAIT = 4


@dataclass(frozen=True)
class RemoteOptions:
    """The machine that does a run.

    Attributes:
        flavor: The hardware.
        timeout: Seconds after which the Hub ends the job; None for the Hub's own limit.
        wheel: The address of the wheel to install; None to install this version of hubtune from PyPI.
        secrets: Names of further environment variables that the job gets as secrets.
        launch: The launcher whose processes train there, with its options; None to train in one process.
    """

    flavor: str
    timeout: int | None = None
    wheel: str | None = None
    secrets: tuple[str, ...] = ()
    launch: str | None = None


def check_remote(config: TuneConfig, asked: RemoteOptions) -> None:
    """Checks that a job can access everything that the config names, and that the hardware exists; submits nothing.

    Raises:
        ConfigError: The config names files or metrics of this machine, there is no such flavor, or no job can install
            this version of hubtune.
        HubError: The Hub has no jobs, or cannot be asked.
    """
    _refuse_local(config)
    if asked.launch is None:
        require_launcher(config, None)
    else:
        split_command(asked.launch)
    _dependencies(config, asked)
    jobs.require_secrets([jobs.TOKEN, *asked.secrets])
    offered = {flavor.name: flavor for flavor in jobs.flavors()}
    if asked.flavor not in offered:
        raise ConfigError(
            f"The Hub has no hardware called {asked.flavor!r}.",
            details=[f"{one.name}: {one.title}, ${one.price:.4f} per {one.unit}" for one in offered.values()],
            hint="Name one of these with --remote, such as --remote "
            + ("a10g-small" if "a10g-small" in offered else next(iter(offered), "cpu-basic")),
        )


def run_remote(
    config: TuneConfig, config_file: Path, options: RunOptions, asked: RemoteOptions, progress: Progress
) -> Outcome:
    """Runs the job on another machine, and fetches the run.

    Args:
        config: The config.
        config_file: Its file; the lock is next to it.
        options: How the run is to be done.
        asked: Which machine does it.
        progress: Reports each step, and each line of the job's log.

    Raises:
        HubtuneError: It cannot be submitted, failed, or cannot be fetched. Nothing that was done is lost: the same
            command with `--resume` follows the job, or fetches its run.
    """
    run = find_run(config, options) if options.resume else None
    if run is None:
        if options.resume:
            progress.say("No earlier run of this config to resume: starting a new run")
        run = _prepare(config, config_file, options, asked, progress)
    elif not run.has(RemoteRecord):
        raise ConfigError(
            f"{run.path} is a run of this machine.", hint="Resume it here: leave --remote out. Or leave --resume out."
        )
    _require_same_end(run.read(RemoteRecord), options)
    if run.read(RemoteRecord).fetched is None:
        _do(run, asked, progress)
    release = run.read(ReleaseRecord) if options.publish else None
    return Outcome(run=run, inputs=card_inputs(run, run.config()), release=release)


def _require_same_end(known: RemoteRecord, options: RunOptions) -> None:
    if known.request.publish is not options.publish:
        raise ConfigError(
            "The job was submitted with --push, and this command was given without it."
            if known.request.publish
            else "The job was submitted without --push, so it publishes nothing.",
            hint="Add --push." if known.request.publish else "Fetch it without --push, then: hubtune publish RUN",
        )


def _prepare(
    config: TuneConfig, config_file: Path, options: RunOptions, asked: RemoteOptions, progress: Progress
) -> RunDirectory:
    """Checks all that can be checked, pins the inputs, and puts the request on the Hub."""
    check_remote(config, asked)
    checks: Checks = check_run(config, config_file, options, progress)
    checks.require_ok()
    assert checks.resolution is not None, "all checks passed, so every input was resolved"
    for finding in checks.findings:
        if finding.status == "warning":
            progress.warn(f"{finding.check}: {finding.detail}")
    pins = checks.resolution.pins
    write_lock(lock_file(config_file), pins)
    run = RunDirectory.create(config, path=options.run_dir, parent=options.runs_folder)
    run.write(pins)
    progress.say(f"Run directory: {run.path}")
    run.write(_request(run, options, asked, progress))
    return run


def _request(run: RunDirectory, options: RunOptions, asked: RemoteOptions, progress: Progress) -> RemoteRecord:
    with requests_sent_once():
        namespace = Retries(progress)("Asking who the token belongs to", whoami).name
    name = f"run-{sha256_bytes(os.urandom(32))[:16]}"
    request = RemoteRequest(
        version=__version__,
        branch=name,
        image=jobs.IMAGE,
        flavor=asked.flavor,
        publish=options.publish,
        propose=options.propose,
        launch=asked.launch,
    )
    exchange = Exchange(f"{namespace}/{NAME}", name, progress)
    files: dict[str, Path | bytes] = {
        CONFIG: dump_config(run.config()).encode(),
        LOCK: run.read(PinSet).to_json().encode(),
        REQUEST: request.to_json().encode(),
    }
    refuse_secrets(files, current_token(), source="the config")
    commit = exchange.put(files, exchange.open(), f"Request of {run.path.name}")
    return RemoteRecord(
        repo=exchange.repo,
        request=request,
        commit=commit,
        namespace=namespace,
        **_settings(run.config(), asked),
    )


def _do(run: RunDirectory, asked: RemoteOptions, progress: Progress) -> None:
    """Sees to it that the job is submitted, follows it to its end, and fetches the run."""
    known = run.read(RemoteRecord)
    exchange = Exchange(known.repo, known.request.branch, progress)
    try:
        if known.job is None:
            known = _submit(run, known, asked, exchange)
        assert known.job is not None, "it was just submitted"
        job = _follow(known.namespace, known.job, progress)
    except KeyboardInterrupt:
        started = run.read(RemoteRecord).job
        if started is not None:
            progress.warn(
                f"The job {started} continues without this command. To follow it: the same command with --resume "
                f"--run-dir {run.path}. To end it: hf jobs cancel {started}"
            )
        raise
    if not job.completed:
        run.write(known.model_copy(update={"job": None, "previous": [*known.previous, job.id]}))
        raise _failed(job)
    _fetch(run, known, exchange)


def _submit(run: RunDirectory, known: RemoteRecord, asked: RemoteOptions, exchange: Exchange) -> RemoteRecord:
    """Submits the job, unless it was: an answer that got lost leaves that open."""
    labels = {_LABEL: known.request.branch, "hubtune-attempt": str(len(known.previous))}
    retries = Retries(exchange.progress)

    def find() -> jobs.Job | None:
        return jobs.find(known.namespace, labels)

    with requests_sent_once():
        job = retries("Looking for the job", find)
        if job is None and known.previous:
            # On other hardware, say, or with more time.
            check_remote(run.config(), asked)
            request = known.request.model_copy(
                update={"version": __version__, "flavor": asked.flavor, "launch": asked.launch}
            )
            renewed = exchange.renew(request.to_json().encode(), known.previous)
            known = known.model_copy(update={"request": request, "commit": renewed, **_settings(run.config(), asked)})
            run.write(known)
        draft = jobs.JobDraft(
            namespace=known.namespace,
            command=["hubtune", "job", known.repo, known.commit],
            dependencies=known.dependencies,
            flavor=known.request.flavor,
            timeout=known.timeout,
            secrets=known.secrets,
            labels=labels,
        )
        job = job or retries("Submitting the job", lambda: find() or jobs.submit(draft))
    known = known.model_copy(update={"job": job.id})
    run.write(known)
    exchange.progress.say(f"Job {job.id} on {known.request.flavor} ({job.stage.lower()}): {job.url}")
    return known


class _Settings(TypedDict):
    timeout: int | None
    dependencies: list[str]
    secrets: list[str]


def _settings(config: TuneConfig, asked: RemoteOptions) -> _Settings:
    """Returns the fields of the remote record that the options say."""
    return {
        "timeout": asked.timeout,
        "dependencies": _dependencies(config, asked),
        "secrets": [jobs.TOKEN, *asked.secrets],
    }


def _follow(namespace: str, job: str, progress: Progress) -> jobs.Job:
    """Repeats the job's log, each line once, until the job has ended."""
    shown = lost = 0
    while True:
        try:
            for number, line in enumerate(jobs.follow(namespace, job), start=1):
                if number > shown:
                    shown, lost = number, 0
                    progress.say(line)
            found = jobs.inspect(namespace, job)
            if found.ended:
                return found
        except HubError as error:
            lost += 1
            if error.passing:
                error.hint = f"The job {job} continues. To follow it later: the same command with --resume."
                if lost < _ATTEMPTS:
                    Retries(progress).pause("Following the job", error, min(lost, _LONGEST_WAIT))
                    continue
            raise


def _failed(job: jobs.Job) -> RemoteJobError:
    said = f": {job.message.rstrip('.')}" if job.message else ""
    if job.stage == "CANCELED":
        return RemoteJobError(
            f"The job {job.id} was canceled{said}.",
            hint="Submit it again with the same command and --resume. If it reached its time limit, add --timeout.",
        )
    if job.stage == "DELETED":
        return RemoteJobError(
            f"The job {job.id} was deleted{said}.", hint="To submit it again: the same command with --resume."
        )
    return RemoteJobError(
        f"The job {job.id} failed{said}.",
        hint=f"Its log above ends with the reason, which is also at {job.url}. When that is mended, submit it again: "
        "the same command with --resume.",
    )


def _fetch(run: RunDirectory, known: RemoteRecord, exchange: Exchange) -> None:
    """Brings the run that the job put onto its branch into the run directory."""
    head = exchange.head()
    with _folder_beside(run.path) as folder:
        names = exchange.fetch_run(head, folder)
        _require_own(run, folder)
        written = WrittenRecord.read(folder / _WRITTEN).files
        for name in names:
            if name in (RUN_CONFIG, _PINS, _WRITTEN, _REMOTE):
                continue
            if name in written:
                run.write_file(name, read_bytes(folder / name))
                continue
            (run.path / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(run.path / name)
    training = run.read(TrainingRecord)
    # A job that resumes takes over what an earlier one finished.
    if training.job is None or training.job.id not in (known.job, *known.previous):
        raise RecordError(
            f"The run at {exchange.repo} was not made by the job {known.job}.", hint="Start a new run with --remote."
        )
    if run.has(ReleaseRecord):
        run.write(run.read(ReleaseRecord).model_copy(update={"run_dir": str(run.path)}))
    run.write(known.model_copy(update={"fetched": head}))


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Gives an empty folder on the disk of `path`, so that files can be moved from there."""
    with ExitStack() as removed, file_errors(path):
        name = removed.enter_context(tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-"))
        yield Path(name)


def _require_own(run: RunDirectory, folder: Path) -> None:
    """Checks that what came is a run of the same config and pins."""
    ours, theirs = run.config(), RunDirectory.open(folder).config()
    same = all(digest(ours) == digest(theirs) for digest in (training_digest, evaluation_digest))
    if not same or sha256_file(folder / _PINS) != sha256_file(run.path / _PINS):
        raise RecordError(
            f"What the job returned is a run of another config or of other pins than {run.path}.",
            hint="Start a new run with --remote.",
        )


def _refuse_local(config: TuneConfig) -> None:
    named = local_files(config)
    if named:
        data = next((path for key, path in named.items() if key.endswith(".path")), None)
        raise ConfigError(
            "The config names files on this machine, which a job cannot access.",
            details=[f"{key}: {path}" for key, path in named.items()],
            hint="Leave them out of the config."
            if data is None
            else "Upload the data, then name it as `repo` in place of `path`: hubtune hub import "
            f"{data} NAMESPACE/NAME --type dataset",
        )
    asked = config.evaluate.metrics
    foreign = [] if asked == "all" else [name for name in asked if name not in BUILT_IN]
    if foreign:
        raise ConfigError(
            f"The config names metrics of a plugin, which a job does not have: {', '.join(foreign)}.",
            hint="Leave them out with --remote, and measure them here when the run is here: hubtune evaluate RUN",
        )


def _dependencies(config: TuneConfig, asked: RemoteOptions) -> list[str]:
    """Returns what the job installs: exactly this version, with the extras that the config needs."""
    trackers = config.train.report_to
    extras = ["train"]
    extras += ["track"] if {"trackio", "tensorboard"}.intersection(trackers) else []
    extras += ["cost"] if config.train.country is not None else []
    others = [name for name in trackers if name in ("wandb", "mlflow")]
    package = f"hubtune[{','.join(extras)}]"
    if asked.wheel is not None:
        name = asked.wheel.rpartition("/")[2]
        if not name.startswith(f"hubtune-{__version__}-"):
            raise ConfigError(
                f"--wheel names {name}, and the job needs the version {__version__} of hubtune, as here.",
                hint=f"Give the address of a wheel called hubtune-{__version__}-py3-none-any.whl",
            )
        return [f"{package} @ {asked.wheel}", *others]
    if "dev" in __version__ or "+" in __version__:
        raise ConfigError(
            f"This is hubtune {__version__}, a development version, which a job cannot install from PyPI.",
            hint="Build a wheel, put it where a job can download it without a login, and give its address: "
            f"--wheel https://…/hubtune-{__version__}-py3-none-any.whl",
        )
    return [f"{package}=={__version__}", *others]
