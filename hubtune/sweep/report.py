"""What a sweep found: a table of its trials, Optuna's pictures of them, and the winner as a config to run."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue

from hubtune.config.load import dump_config
from hubtune.config.schema import TuneConfig
from hubtune.config.sweep import RangeConfig, SweepOriginConfig, SweptConfig, label, value_text, without_places
from hubtune.errors import ConfigError, FileError, SweepError
from hubtune.files import file_errors
from hubtune.pin import lock_file, read_lock, write_lock
from hubtune.records.base import Record, write_atomic
from hubtune.sweep.plan import Sweep
from hubtune.sweep.study import Facts, Study, first_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

TrialState = Literal["complete", "pruned", "failed", "cut off", "running", "waiting"]
_DPI = 120


class TrialRecord(Record):
    """A trial.

    Attributes:
        number: Its number in the study, from 0.
        state: What became of it; one that was cut off is run again as another trial.
        values: What it tried, by field.
        value: The metric; null unless it is complete.
        rank: Its place among the complete ones, from 1.
        steps: The held-out loss by optimizer step.
        seconds: How long it took.
        detail: Why it failed or was pruned.
        folder: The run directory's name, in the folder of the trials.
        again: The number of the trial that ran it again.
    """

    number: int
    state: TrialState
    values: dict[str, JsonValue]
    value: float | None = None
    rank: int | None = None
    steps: dict[int, float] = Field(default_factory=dict)
    seconds: float | None = None
    detail: str | None = None
    folder: str | None = None
    again: int | None = None


class SweepRecord(Record):
    """A sweep and all its trials.

    Attributes:
        storage: Where it is kept.
        trials_dir: The folder of the trials' run directories.
        best: The number of the trial that did best; null while none is complete.
        study: The sha256 that the winner's config and card name; null while none is complete.
        importance: Each field's share in the variance of the metric, from 0 to 1, if it can be computed.
        pictures: The pictures' files, if they were drawn.
        config: The file that the winner was written to, if it was.
    """

    name: str
    storage: str
    trials_dir: str
    sampler: str
    metric: str
    direction: str
    trials: list[TrialRecord]
    best: int | None
    study: str | None
    importance: dict[str, float] = Field(default_factory=dict)
    pictures: list[str] = Field(default_factory=list)
    config: str | None = None

    def count(self, *states: TrialState) -> int:
        """Returns how many trials are in one of the states."""
        return sum(trial.state in states for trial in self.trials)


@dataclass(frozen=True)
class Report:
    """Reads a study.

    Attributes:
        sweep: The sweep.
        study: Its study.
        facts: What the study is of.
    """

    sweep: Sweep
    study: Study
    facts: Facts

    @classmethod
    def open(cls, sweep: Sweep) -> "Report":
        """Opens the study of a sweep that was started.

        Raises:
            SweepError: There is none, or it is of another sweep.
        """
        if not sweep.place.exists:
            raise SweepError(
                f"There is no sweep in {sweep.place} yet.", hint=f"Start it first: hubtune sweep {sweep.path}"
            )
        study = Study(sweep.place, sweep.name)
        return cls(sweep, study, study.facts(sweep.file.sweep, sweep.identity))

    @cached_property
    def trials(self) -> list[TrialRecord]:
        """All trials, in their order."""
        from optuna.trial import TrialState as State

        frozen = self.study.study.get_trials(deepcopy=False)
        again = {number: trial.number for trial in frozen for number in trial.system_attrs.get("retry_history", [])}
        complete = sorted(
            (trial for trial in frozen if trial.state is State.COMPLETE),
            key=lambda trial: (trial.value if self._lower else -float(trial.value or 0), trial.number),
        )
        ranks = {trial.number: rank for rank, trial in enumerate(complete, 1)}
        return [self._record(trial, ranks.get(trial.number), again.get(trial.number)) for trial in frozen]

    @property
    def _lower(self) -> bool:
        return self.sweep.file.sweep.direction == "minimize"

    def _record(self, trial: "FrozenTrial", rank: int | None, again: int | None) -> TrialRecord:
        states: dict[str, TrialState] = {
            "COMPLETE": "complete",
            "PRUNED": "pruned",
            "FAIL": "failed" if again is None else "cut off",
            "RUNNING": "running",
            "WAITING": "waiting",
        }
        given = trial.system_attrs.get("fixed_params", {}) | trial.params
        return TrialRecord(
            number=trial.number,
            state=states[trial.state.name],
            values={name: self._value(name, given[name]) for name in self.sweep.file.sweep.parameters if name in given},
            value=trial.value if rank is not None else None,
            rank=rank,
            steps=dict(trial.intermediate_values),
            seconds=trial.user_attrs.get("seconds"),
            detail=_detail(trial) if again is None else None,
            folder=trial.user_attrs.get("folder", f"trial-{first_of(trial):03}" if again is not None else None),
            again=again,
        )

    def _value(self, name: str, stored: Any) -> JsonValue:
        parameter = self.sweep.file.sweep.parameters[name]
        choices = [] if isinstance(parameter, RangeConfig) else parameter
        found: JsonValue = next((value for value in choices if label(value) == stored), stored)
        return found

    @property
    def best(self) -> TrialRecord | None:
        """The trial that did best; None while none is complete."""
        return next((trial for trial in self.trials if trial.rank == 1), None)

    @property
    def digest(self) -> str:
        """The sha256 of the study, wherever it is stored: settings, inputs, and what each trial tried and gave."""
        ended = [
            [trial.values, trial.state, trial.value]
            for trial in self.trials
            if trial.state in ("complete", "pruned", "failed")
        ]
        facts = self.facts.model_dump(mode="json", exclude={"id"})
        ordered = sorted(ended, key=lambda one: json.dumps(one, sort_keys=True))
        return hashlib.sha256(json.dumps([facts, ordered], sort_keys=True).encode()).hexdigest()

    def record(self) -> SweepRecord:
        """Returns the sweep as a record, without pictures."""
        best, sweep = self.best, self.sweep.file.sweep
        return SweepRecord(
            name=self.sweep.name,
            storage=str(self.sweep.place),
            trials_dir=str(self.sweep.folder(self.facts)),
            sampler=sweep.sampler,
            metric=sweep.metric,
            direction=sweep.direction,
            trials=self.trials,
            best=None if best is None else best.number,
            study=None if best is None else self.digest,
            importance=self.importance(),
        )

    def importance(self) -> dict[str, float]:
        """Returns each field's importance; nothing while too few trials are complete, or all did alike."""
        from optuna.importance import get_param_importances

        values = {trial.value for trial in self.trials if trial.rank is not None}
        varied = len({json.dumps(trial.values, sort_keys=True) for trial in self.trials if trial.rank is not None})
        if len(values) < 2 or varied < 2:
            return {}
        try:
            return {name: round(share, 4) for name, share in get_param_importances(self.study.study).items()}
        except (RuntimeError, ValueError, ImportError):
            return {}

    def pictures(self) -> list[Path]:
        """Draws Optuna's pictures into a folder next to the storage; returns their files.

        Raises:
            FileError: They cannot be written.
        """
        if self.best is None:
            return []
        import matplotlib as mpl
        from optuna.visualization import matplotlib as drawing

        mpl.use("Agg")
        drawn: dict[str, Callable[..., Any]] = {
            "history": drawing.plot_optimization_history,
            "parallel-coordinates": drawing.plot_parallel_coordinate,
        }
        if self.importance():
            drawn["importance"] = drawing.plot_param_importances
        folder = self.sweep.beside.with_name(f"{self.sweep.beside.name}-report")
        with file_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            metric = self.sweep.file.sweep.metric.replace("_", " ")
            return [_draw(folder / f"{name}.png", plot, self.study.study, metric) for name, plot in drawn.items()]

    def config(self, trial: TrialRecord) -> TuneConfig:
        """Returns the config of a complete trial, with the section that says which sweep chose it.

        Raises:
            SweepError: It is not complete.
        """
        if trial.rank is None or trial.value is None:
            raise SweepError(f"Trial {trial.number} is {trial.state}.", hint="Choose one that is complete.")
        plain = self.sweep.tuned(trial.values)
        values, sweep = plain.model_dump(mode="json"), self.sweep.file.sweep
        counted = self.record()
        origin = SweepOriginConfig(
            study=self.digest,
            sampler=sweep.sampler,
            seed=sweep.seed,
            pruning=sweep.pruning,
            trials=counted.count("complete"),
            pruned=counted.count("pruned"),
            failed=counted.count("failed"),
            metric=sweep.metric,
            direction=sweep.direction,
            rows="held-out" if plain.evaluate.validation is None else "validation",
            rank=trial.rank,
            value=trial.value,
            fields=[
                SweptConfig(
                    field=name,
                    tried=_in_words(name, parameter),
                    chosen=value_text(values, name),
                )
                for name, parameter in sweep.parameters.items()
            ],
        )
        return TuneConfig.model_validate({**plain.model_dump(mode="json"), "sweep": origin.model_dump(mode="json")})

    def write_best(self, file: Path) -> TrialRecord:
        """Writes the best trial's config, and next to it the lock with the commits that the sweep used.

        Raises:
            SweepError: No trial is complete.
            FileError: The file exists, or cannot be written.
            ConfigError: There is a lock next to it that names other commits.
        """
        best = self.best
        if best is None:
            raise SweepError(
                f"No trial of {self.sweep.place} is complete, so there is no best one.",
                hint=f"Run the sweep first: hubtune sweep {self.sweep.path}",
            )
        if file.exists():
            raise FileError(f"{file} exists already.", hint="Give the name of a new file: --best FILE")
        config = self.config(best)
        pins = self.facts.pins[self.sweep.inputs_of(config)]
        lock = lock_file(file)
        present = read_lock(lock)
        if present is not None and present != pins:
            raise ConfigError(
                f"{lock} names other commits than the sweep used, so {file} would not give the trial's numbers there.",
                hint=f"Write it to another folder: --best {file.with_suffix('') / file.name}",
            )
        with file_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, _HEAD.format(number=best.number, storage=self.sweep.place.shown) + dump_config(config))
        write_lock(lock, pins)
        return best


_HEAD = "# The best trial, number {number}, of the sweep in {storage}. `hubtune run` gives that trial's numbers.\n"


def _detail(trial: "FrozenTrial") -> str | None:
    found: str | None = trial.user_attrs.get("detail")
    if found is None and trial.state.name == "FAIL":
        times = len(trial.system_attrs.get("retry_history", [])) + 1
        return f"it was cut off {times} times, so it is not run again"
    return found


def _draw(file: Path, plot: Callable[..., Any], study: "optuna.Study", metric: str) -> Path:
    from matplotlib import pyplot

    axes = plot(study, target_name=metric)
    figure = axes.figure if hasattr(axes, "figure") else axes[0].figure
    figure.savefig(file, dpi=_DPI, bbox_inches="tight")
    pyplot.close(figure)
    return file


def _in_words(name: str, parameter: list[JsonValue] | RangeConfig) -> str:
    if isinstance(parameter, RangeConfig):
        return str(parameter)
    values = [without_places(value, name.rpartition(".")[2]) for value in parameter]
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
