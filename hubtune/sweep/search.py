"""The sweep: its inputs are pinned once, then one trial follows the other until the queue is empty.

A trial is a run of its own in a run directory of its own, by the stages that `hubtune run` has, so the config of a
trial gives the same numbers when it is run by itself.
"""

import gc
import json
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.config.sweep import HELD_OUT_LOSS
from hubtune.errors import ConfigError, FileError, HubtuneError, InterruptedTrainingError, RecordError, SweepError
from hubtune.hub.snapshot import cached
from hubtune.pin import fetch_snapshots, lock_file, read_lock, require_lock, resolve_pins, write_lock
from hubtune.pipeline.check import check_run
from hubtune.pipeline.context import RunContext, RunOptions, data_places, require_train
from hubtune.pipeline.stages import run_data, run_evaluate, run_train
from hubtune.records.base import PinSet, Progress
from hubtune.records.results import HeldOutPoint, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.sweep.plan import Sweep, suggest
from hubtune.sweep.storage import require_optuna
from hubtune.sweep.study import Claimed, Facts, Study

if TYPE_CHECKING:
    from optuna.trial import Trial, TrialState

# Settings that decide which rows are held out, so that the losses of two trials would be of different rows.
_SPLITTING = (
    "evaluate.holdout",
    "evaluate.validation",
    "evaluate.seed",
    "evaluate.max_items",
    "rows.",
    "data",
    "screen.",
)


def run_sweep(sweep: Sweep, progress: Progress, *, locked: bool = False) -> tuple[Study, Facts]:
    """Runs trials until none is left, those of other workers included.

    Args:
        sweep: The sweep.
        progress: Reports each trial.
        locked: Whether `hubtune.lock` has to match the config.

    Returns:
        The study, and what it is of.

    Raises:
        HubtuneError: The inputs are not available, or the storage cannot be used. Trials that are done are kept.
    """
    require_optuna()
    require_train("A sweep")
    study = Study(sweep.place, sweep.name)
    facts, made = _begin(sweep, study, progress, locked=locked)
    study.fill(sweep.file.sweep, made=made)
    folder = sweep.folder(facts)
    for number in study.reclaim(folder):
        progress.say(f"Trial {number} was cut off: it is run again")
    worker = Worker(sweep, study, facts, progress)
    while True:
        with study.claim(sweep.file.sweep, folder) as claimed:
            if claimed is not None:
                worker.run(claimed)
        if claimed is None:
            if study.running():
                progress.say("Waiting for the last trials of other workers")
            if not study.wait(folder):
                break
    return study, facts


def _begin(sweep: Sweep, study: Study, progress: Progress, *, locked: bool) -> tuple[Facts, bool]:
    """Pins and fetches the inputs, as the study has them if it exists, and makes the study if it does not."""
    if not study.present:
        first, *others = sweep.inputs
        folder = sweep.beside.parent
        checks = check_run(first, sweep.config_file, RunOptions(locked=locked, runs_folder=folder), progress)
        checks.require_ok()
        assert checks.resolution is not None, "all checks passed, so every input was resolved"
        for finding in checks.findings:
            if finding.status == "warning":
                progress.warn(f"{finding.check}: {finding.detail}")
        resolutions = [checks.resolution, *(resolve_pins(other, None, progress) for other in others)]
        facts = Facts(
            id=secrets.token_hex(4),
            sweep=Facts.settings(sweep.file.sweep),
            config=sweep.identity,
            pins=[resolution.pins for resolution in resolutions],
        )
        for resolution in resolutions:
            fetch_snapshots(resolution, progress)
        if study.create(sweep.file.sweep, facts):
            write_lock(lock_file(sweep.config_file), resolutions[0].pins)
            _warn_of_other_rows(sweep, progress)
            return facts, True
    facts = study.facts(sweep.file.sweep, sweep.identity)
    if locked:
        lock = lock_file(sweep.config_file)
        require_lock(read_lock(lock), sweep.base, lock)
    for config, pins in zip(sweep.inputs, facts.pins, strict=True):
        _require_snapshots(config, pins, progress)
    return facts, False


def _require_snapshots(config: TuneConfig, pins: PinSet, progress: Progress) -> None:
    """Fetches the inputs, unless they are all in the cache: then no Hub is asked."""
    try:
        cached(pins.base)
        if pins.adapter is not None:
            cached(pins.adapter)
        data_places(config, pins, cached)
    except RecordError:
        fetch_snapshots(resolve_pins(config, pins, progress), progress)


def _warn_of_other_rows(sweep: Sweep, progress: Progress) -> None:
    moving = [name for name in sweep.file.sweep.parameters if name.startswith(_SPLITTING)]
    if moving:
        progress.warn(
            f"{', '.join(moving)} can change which rows are held out, so the trials' measures are of different rows"
        )


@dataclass(frozen=True)
class Worker:
    """Runs trials of a sweep.

    Attributes:
        sweep: The sweep.
        study: Its study.
        facts: What the study is of.
        progress: Reports each trial.
    """

    sweep: Sweep
    study: Study
    facts: Facts
    progress: Progress

    def run(self, claimed: Claimed) -> None:
        """Runs a trial and tells the study what came of it; a fault of the trial itself does not stop the sweep.

        Raises:
            InterruptedTrainingError: The user stopped it; the trial is in the queue again.
            SweepError: The metric was not measured, and so it would not be by any trial.
            FileError: The disk is full or cannot be written; the trial is in the queue again.
        """
        from optuna import TrialPruned
        from optuna.trial import TrialState

        trial, began = claimed.trial, time.monotonic()
        folder = self.sweep.folder(self.facts) / f"trial-{claimed.first:03}"
        trial.set_user_attr("folder", folder.name)
        try:
            value = self._value(trial, folder)
        except TrialPruned as error:
            self.progress.say(f"Trial {trial.number} is pruned: {error}")
            trial.set_user_attr("detail", str(error))
            self._tell(trial, TrialState.PRUNED, began)
        except (InterruptedTrainingError, KeyboardInterrupt, SweepError, FileError) as error:
            # Nothing that the trial did: it is run again as often as the user stops it.
            self.study.requeue(trial, most=None)
            if isinstance(error, InterruptedTrainingError):
                hint = "Continue the sweep with the same command; this trial resumes after that step."
                raise InterruptedTrainingError(error.message, hint=hint, exit_code=error.exit_code) from error
            raise
        except HubtuneError as error:
            said = " ".join([error.message, *error.details])
            self.progress.warn(f"Trial {trial.number} failed: {said}")
            trial.set_user_attr("detail", said[:1000])
            self._tell(trial, TrialState.FAIL, began)
        except BaseException:
            self.study.requeue(trial)
            raise
        else:
            self.progress.say(f"Trial {trial.number}: {self.sweep.file.sweep.metric} {value:.6g}")
            self._tell(trial, TrialState.COMPLETE, began, value)
        # What a training holds in circles would be held beside that of the next.
        gc.collect()
        # Its config makes the weights again, bit for bit.
        run = RunDirectory(folder)
        for path in (run.adapter_dir, run.model_dir, run.checkpoints_dir):
            shutil.rmtree(path, ignore_errors=True)

    def _tell(self, trial: "Trial", state: "TrialState", began: float, value: float | None = None) -> None:
        trial.set_user_attr("seconds", round(time.monotonic() - began, 1))
        self.study.study.tell(trial, value, state=state, skip_if_finished=True)

    def _value(self, trial: "Trial", folder: Path) -> float:
        sweep = self.sweep.file.sweep
        values = suggest(trial, sweep)
        shown = ", ".join(f"{name}={json.dumps(value)}" for name, value in values.items())
        self.progress.say(f"Trial {trial.number}: {shown}")
        context = self._context(self.sweep.config(values), folder)
        prepared = run_data(context)
        record = run_train(context, prepared, resume=True, watch=_Watch(trial, pruning=sweep.pruning != "none"))
        if sweep.metric == HELD_OUT_LOSS:
            return held_out_loss(record)
        evaluation = run_evaluate(context, replace(prepared, held_out=prepared.watched))
        measures = {measure.name: measure for measure in evaluation.measures}
        measure = measures.get(sweep.metric)
        if measure is None:
            raise SweepError(
                f"sweep.metric is {sweep.metric}, and the evaluation of trial {trial.number} has no such measure.",
                hint=f"Use one of these: {', '.join([HELD_OUT_LOSS, *measures])}",
            )
        if measure.tuned is None:
            raise ConfigError(f"{measure.name} is {measure.status}{f': {measure.detail}' if measure.detail else ''}.")
        return measure.tuned

    def _context(self, config: TuneConfig, folder: Path) -> RunContext:
        """Returns the trial's run: a new one, or the one that was cut off."""
        pins = self.facts.pins[self.sweep.inputs_of(config)]
        if (folder / "config.yaml").is_file():
            run = RunDirectory.open(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            run = RunDirectory.create(config, path=folder)
        if not run.has(PinSet):
            run.write(pins)
        return RunContext(run, self.progress)


@dataclass(frozen=True)
class _Watch:
    """Tells the study the held-out losses of a trial, and stops one that does worse than others did."""

    trial: "Trial"
    pruning: bool

    def __call__(self, points: Sequence[HeldOutPoint]) -> None:
        from optuna import TrialPruned

        known = self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values
        for point in points:
            if point.step not in known:
                self.trial.report(point.loss, point.step)
        if self.pruning and self.trial.should_prune():
            last = points[-1]
            raise TrialPruned(f"held-out loss {last.loss:.4g} at step {last.step:,}, above the median of other trials")


def held_out_loss(record: TrainingRecord) -> float:
    """Returns the held-out loss of a training: that of the weights which were kept.

    Raises:
        ConfigError: None was measured.
    """
    points = record.held_out_losses
    if not points:
        raise ConfigError("The training measured no held-out loss.")
    return next((point.loss for point in points if point.step == record.best_step), points[-1].loss)
