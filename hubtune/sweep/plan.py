"""What a sweep tries: its file, and the config that it varies, checked one against the other.

So the config of a trial is made here from the values that a sampler chose, and what a trial has to measure.
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from hubtune.config import yaml_file
from hubtune.config.evaluation import BUILT_IN, CLASSIFICATION, DEFAULT, known_metrics
from hubtune.config.load import evaluation_digest, load_config, require_key, training_digest
from hubtune.config.schema import TuneConfig
from hubtune.config.sweep import HELD_OUT_LOSS, RangeConfig, SweepConfig, SweepFile, label, overrides_of
from hubtune.documents import HAND_WRITTEN
from hubtune.errors import ConfigError, FileError
from hubtune.files import read_text
from hubtune.sweep.storage import Place
from hubtune.sweep.study import Facts
from hubtune.validation import faults_of

if TYPE_CHECKING:
    from optuna.trial import Trial


def load_sweep(path: Path) -> SweepFile:
    """Loads and validates a sweep file.

    Raises:
        ConfigError: It is missing or not readable, or there are faults; the details name every one.
    """
    if not path.exists():
        raise ConfigError(
            f"There is no sweep file {path}.",
            hint="Write one beside hubtune.yaml, such as `sweep: {sampler: grid, parameters: {train.learning_rate: "
            "[1.0e-4, 1.0e-3]}}`, or give the path of yours after the command.",
        )
    try:
        text = read_text(path, most=HAND_WRITTEN.size)
    except FileError as error:
        raise ConfigError(f"The sweep file cannot be used: {error.message}", hint=error.hint) from error
    mapping, problems = yaml_file.parse(text)
    try:
        if not problems:
            return SweepFile.model_validate(mapping)
    except ValidationError as error:
        problems = [
            yaml_file.Problem(fault.path, _unknown(fault.path) if fault.kind == "extra_forbidden" else fault.text)
            for fault in faults_of(error, values=True)
        ]
    raise ConfigError(
        f"{path} cannot be used: {'1 thing' if len(problems) == 1 else f'{len(problems)} things'} to correct.",
        details=[str(problem) for problem in problems],
        hint=f"Correct {'it' if len(problems) == 1 else 'each'} in {path}, then run the command again.",
    )


def _unknown(path: str) -> str:
    above, _, key = path.rpartition(".")
    known = [*(SweepFile if not above else SweepConfig if above == "sweep" else RangeConfig).__pydantic_fields__]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return "there is no such key" + (
        f"; did you mean `{close[0]}`?" if close else f"; the keys here are: {', '.join(known)}"
    )


@dataclass(frozen=True)
class Sweep:
    """A sweep: its file, the config that it varies, and where its trials are kept.

    Attributes:
        path: The sweep file.
        file: What it says.
        base: The config as it is without the sweep.
        place: The storage.
    """

    path: Path
    file: SweepFile
    base: TuneConfig
    place: Place

    @classmethod
    def load(cls, path: Path, storage: str | None = None) -> "Sweep":
        """Loads a sweep file and its config, and checks that each can be used with the other.

        Args:
            path: The sweep file.
            storage: Where trials are kept; None for what the file says, or SQLite next to it.

        Raises:
            ConfigError: One of them cannot be used, or the sweep names a field or a metric that the config has not.
        """
        file = load_sweep(path)
        folder = Path() if storage is not None else path.parent
        place = Place.of(storage or file.storage or f"{path.stem}.db", folder)
        config_file = path.parent / file.config
        sweep = cls(path, file, load_config(config_file), place)
        if sweep.base.sweep is not None:
            raise ConfigError(
                f"{config_file} was itself chosen by a sweep, as its section `sweep` says.",
                hint="To vary it again, leave that section out; the card then reports the new sweep alone.",
            )
        for name in file.sweep.parameters:
            require_key(name, f"{path}: sweep.parameters")
        sweep._require_metric()
        for name, parameter in file.sweep.parameters.items():
            if not isinstance(parameter, RangeConfig):
                sweep._require_one(name, parameter)
        return sweep

    @property
    def config_file(self) -> Path:
        """The config that is varied."""
        return self.path.parent / self.file.config

    @property
    def name(self) -> str:
        """The study's name."""
        return self.file.name or self.path.stem

    @property
    def beside(self) -> Path:
        """What folders of the sweep are named after: the storage's file, or with a server, the sweep file."""
        return (self.place.file or self.path.absolute()).with_suffix("")

    @property
    def identity(self) -> dict[str, str]:
        """Digests of the base config, so far as it decides the trials' numbers."""
        measured = {} if self.file.sweep.metric == HELD_OUT_LOSS else {"evaluate section": evaluation_digest(self.base)}
        return {"training settings": training_digest(self.base), **measured}

    def folder(self, facts: Facts) -> Path:
        """Returns the folder of the trials."""
        return self.beside.with_name(f"{self.beside.name}-trials") / facts.id

    def config(self, values: dict[str, JsonValue]) -> TuneConfig:
        """Returns the config of a trial.

        Raises:
            ConfigError: The values do not go with the config.
        """
        return load_config(self.config_file, [*_overrides(values), *self._metrics])

    def tuned(self, values: dict[str, JsonValue]) -> TuneConfig:
        """Returns the base config with the values of a trial, which measures all that the base config asks for.

        Raises:
            ConfigError: The values do not go with the config.
        """
        return load_config(self.config_file, _overrides(values))

    @property
    def metrics(self) -> list[str]:
        """The metrics that a trial has to measure; none for the held-out loss."""
        metric, asked = self.file.sweep.metric, self.base.evaluate.metrics
        if metric == HELD_OUT_LOSS:
            return []
        names = known_metrics() if asked == "all" else list(asked)
        # A classifier has a metric of its own, unless the config asks for others.
        names += [CLASSIFICATION] if asked == list(DEFAULT) else []
        return [name for name in names if _gives(name, metric)]

    @property
    def _metrics(self) -> list[str]:
        # A trial measures what decides, and nothing besides.
        return [f"evaluate.metrics={json.dumps(self.metrics)}"] if self.metrics else []

    def _require_metric(self) -> None:
        metric, asked = self.file.sweep.metric, self.base.evaluate.metrics
        if metric != HELD_OUT_LOSS and not self.metrics:
            given = "every metric" if asked == "all" else ", ".join(asked)
            raise ConfigError(
                f"{self.path}: sweep.metric is {metric}, which {self.file.config} does not measure.",
                hint=f"Use {HELD_OUT_LOSS}, which every training measures, or a measure of `evaluate.metrics` (now "
                f"{given}); to have another measured, add it there.",
            )

    def _require_one(self, name: str, choices: Sequence[JsonValue]) -> None:
        """Refuses a parameter none of whose values the config takes; of some, a trial says so."""
        faults: list[ConfigError] = []
        for value in choices:
            try:
                self.config({name: value})
            except ConfigError as error:
                faults.append(error)
        if len(faults) == len(choices):
            raise ConfigError(
                f"{self.path}: sweep.parameters.{name} has no value that {self.file.config} takes.",
                details=faults[0].details,
                hint=f"Correct the values in {self.path}.",
            )

    @cached_property
    def inputs(self) -> list[TuneConfig]:
        """The base config, and one config for each other combination of inputs that is tried."""
        swept = {
            name: parameter
            for name, parameter in self.file.sweep.parameters.items()
            if not isinstance(parameter, RangeConfig) and name.endswith((".repo", ".revision"))
        }
        found = [self.base]
        for values in product(*swept.values()):
            if swept:
                found.append(self.config(dict(zip(swept, values, strict=True))))
        return found

    def inputs_of(self, config: TuneConfig) -> int:
        """Returns which of `inputs` has the inputs of a trial's config.

        Raises:
            ConfigError: None has.
        """
        wanted = [(entry.repo, entry.revision) for entry in config.pinned]
        for number, inputs in enumerate(self.inputs):
            if [(entry.repo, entry.revision) for entry in inputs.pinned] == wanted:
                return number
        raise ConfigError("The trial has inputs that were not pinned when the sweep began.")


def _gives(metric: str, measure: str) -> bool:
    """Whether a metric gives a measure, so far as that is known before it does; of a plugin it is not."""
    known = _MEASURES.get(metric, (metric,))
    families = metric in _FAMILIES and measure.startswith(f"{metric}_")
    return measure in known or families or metric not in BUILT_IN


# Metrics whose measures have other names, and those whose measures have longer ones.
_MEASURES = {
    "rouge": ("rouge1", "rouge2", "rougeL"),
    "endings": ("ended", "generated_tokens"),
    CLASSIFICATION: ("accuracy", "macro_f1", "macro_precision", "macro_recall"),
    "samples": (),
}
_FAMILIES = ("counterfactual_gap", "memorisation", "personal_data")


def _overrides(values: dict[str, JsonValue]) -> list[str]:
    return [text for name, value in values.items() for text in overrides_of(name, value)]


def suggest(trial: "Trial", sweep: SweepConfig) -> dict[str, JsonValue]:
    """Returns the values of a trial: those that it was given, or that the sampler draws."""
    values: dict[str, JsonValue] = {}
    for name, parameter in sweep.parameters.items():
        if not isinstance(parameter, RangeConfig):
            labels = [label(value) for value in parameter]
            values[name] = parameter[labels.index(trial.suggest_categorical(name, labels))]
        elif parameter.whole:
            low, high, step = (int(value) for value in (parameter.low, parameter.high, parameter.step or 1))
            values[name] = trial.suggest_int(name, low, high, step=step, log=parameter.log)
        else:
            values[name] = trial.suggest_float(
                name, float(parameter.low), float(parameter.high), step=parameter.step, log=parameter.log
            )
    return values
