"""The sweep file, which says what a sweep tries; and the section of a config that says which sweep chose its values.

A sweep file is next to the config that it varies. It has its own schema, since nothing of it is part of a run.
"""

import json
import re
from decimal import Decimal
from itertools import product
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from hubtune.config.fields import ConfigSection, is_commit, matching

HELD_OUT_LOSS = "held_out_loss"
"""The metric that every training measures; any other is a measure of the evaluation."""
_MOST_POINTS = 10_000
# Keys of local files and folders; `words` and the like are those of `evaluate.bias`.
_PLACES = frozenset({"path", "templates", "pairs", "words", "prompts"})
_SHA256 = "^[0-9a-f]{64}$"
_NUMBER_TEXT = re.compile(r"[+-]?\d+(?:\.\d*)?[eE][+-]?\d+")
_REPOS = re.compile(r"^(?:base(?:\.adapter)?|(?:earlier\.)?data\[\d+\])\.repo$")
_REVISIONS = re.compile(r"^(?:base(?:\.adapter)?|(?:earlier\.)?data\[\d+\])\.revision$")

Scalar = str | int | float | bool | None


class SweepSection(ConfigSection):
    """A part of a sweep file, which is not part of a config."""


class RangeConfig(SweepSection):
    """All numbers from `low` to `high`: whole ones if both bounds are whole."""

    low: int | float
    """The lowest number."""
    high: int | float
    """The highest number."""
    step: int | float | None = None
    """The distance of two numbers; without it a range of whole numbers has all of them."""
    log: bool = False
    """Whether numbers are drawn on a logarithmic scale."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) has to be below high ({self.high})")
        if self.log and self.step is not None:
            raise ValueError("log and step are given; a logarithmic range has no steps, so keep one")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0 (it is {self.low})")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step has to be above 0 (it is {self.step})")
        if self.step is not None and self.whole and not isinstance(self.step, int):
            raise ValueError(f"step has to be a whole number as low and high are (it is {self.step})")
        return self

    @property
    def whole(self) -> bool:
        """Whether the range has whole numbers alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def points(self) -> list[Scalar] | None:
        """All its numbers; None if there is no step, so that they cannot be listed."""
        if self.step is None:
            return None
        low, high, step = (Decimal(str(value)) for value in (self.low, self.high, self.step))
        values = [low + step * number for number in range(int((high - low) / step) + 1)]
        return [int(value) if self.whole else float(value) for value in values]

    def __str__(self) -> str:
        by = " on a logarithmic scale" if self.log else f" in steps of {self.step}" if self.step is not None else ""
        return f"{self.low} to {self.high}{by}"


Choices = list[JsonValue]
Parameter = Choices | RangeConfig


def label(value: JsonValue) -> Scalar:
    """Returns what stands for a value in a study, which keeps single values alone: of a list or mapping, its JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value


class SweepConfig(SweepSection):
    """What is tried, how many times, and what decides."""

    parameters: dict[str, Parameter]
    """The fields of the config that are varied: each with a list of values, or with a range."""
    sampler: Literal["grid", "random", "tpe"] = "tpe"
    """How values are chosen: every combination of a `grid`, at `random`, or by a tree-structured Parzen estimator."""
    trials: Annotated[int, Field(ge=1, le=_MOST_POINTS)] | None = None
    """The number of trials. Without it a grid has all its points, and another sampler 20."""
    metric: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)] = HELD_OUT_LOSS
    """What ranks the trials: the held-out loss of the training, or a measure of the evaluation."""
    direction: Literal["minimize", "maximize"] = "minimize"
    """Whether a lower or a higher metric is better."""
    pruning: Literal["none", "median"] = "none"
    """Whether a trial stops early whose held-out loss is above the median of earlier trials at the same step."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """The seed of the sampler."""

    @field_validator("parameters", mode="before")
    @classmethod
    def _known_form(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        if not given:
            raise ValueError("there is nothing to sweep over; name a field of the config with the values to try")
        return {name: _checked(str(name), value) for name, value in given.items()}

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.sampler == "grid":
            for name, parameter in self.parameters.items():
                if isinstance(parameter, RangeConfig) and parameter.points is None:
                    raise ValueError(
                        f"parameters.{name} is a range without a step, which has no points for a grid; write a list "
                        "or add `step`, or use the sampler `random` or `tpe`"
                    )
            if self._size > _MOST_POINTS:
                raise ValueError(
                    f"the grid has {self._size:,} points, and {_MOST_POINTS:,} are the most; name fewer values, or "
                    "use the sampler `random` or `tpe`"
                )
        if self.pruning != "none" and self.metric != HELD_OUT_LOSS:
            raise ValueError(
                f"pruning compares the held-out loss during training, and the metric is {self.metric}; leave pruning "
                f"out, or use the metric {HELD_OUT_LOSS}"
            )
        if self.metric == HELD_OUT_LOSS and self.direction != "minimize":
            raise ValueError("a held-out loss is better when it is lower: the direction has to be minimize")
        return self

    @property
    def _size(self) -> int:
        size = 1
        for parameter in self.parameters.values():
            size *= len(listed(parameter))
        return size

    @property
    def count(self) -> int:
        """The number of trials: what is given; else all points of a grid, and 20 of another sampler."""
        if self.sampler == "grid":
            return min(self.trials or self._size, self._size)
        return self.trials or 20

    @property
    def points(self) -> list[dict[str, Scalar]]:
        """Every point of a grid, by the labels of its values, in the order of the file."""
        names = list(self.parameters)
        return [
            dict(zip(names, values, strict=True))
            for values in product(*(listed(parameter) for parameter in self.parameters.values()))
        ]


def listed(parameter: Parameter) -> list[Scalar]:
    """Returns the labels of all values that a parameter can have; none if they cannot be listed."""
    if isinstance(parameter, RangeConfig):
        return parameter.points or []
    return [label(value) for value in parameter]


def _checked(name: str, value: object) -> object:
    if not isinstance(value, list):
        if not isinstance(value, dict):
            raise ValueError(f"{name} has to be a list of values, or a range such as {{low: 4, high: 64}}")
        return {key: _number(one) for key, one in value.items()}
    if not value:
        raise ValueError(f"{name} is an empty list, so the sweep has no points; name the values to try")
    numbers = [_number(one) for one in value]
    labels = [json.dumps(one, sort_keys=True, default=str) for one in numbers]
    twice = next((text for text in labels if labels.count(text) > 1), None)
    if twice is not None:
        raise ValueError(f"{name} lists {twice} twice; keep one")
    for one in numbers:
        _require_pin(name, one)
    return numbers


def _number(value: Any) -> Any:
    # YAML 1.1 reads 1e-4, without a point, as text.
    return float(value) if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value) else value


def _require_pin(name: str, value: object) -> None:
    if _REPOS.match(name) and not is_commit(str(value).partition("@")[2]):
        raise ValueError(
            f"{name} tries {value!r} without a pin, so it could mean another commit in each trial; write each value "
            "as namespace/name@COMMIT, with all 40 digits"
        )
    if _REVISIONS.match(name) and not is_commit(str(value)):
        raise ValueError(
            f"{name} tries {value!r}, which can move during the sweep; write each value as a commit of 40 digits"
        )


def overrides_of(name: str, value: JsonValue) -> list[str]:
    """Returns the overrides of the config that give a parameter a value; a pinned repository is two of them."""
    if _REPOS.match(name):
        repo, _, commit = str(value).partition("@")
        return [f"{name}={json.dumps(repo)}", f"{name.removesuffix('repo')}revision={json.dumps(commit)}"]
    return [f"{name}={json.dumps(value)}"]


class SweptConfig(ConfigSection):
    """A field that a sweep varied."""

    field: Annotated[str, Field(min_length=1)]
    """The field's key path, such as `train.learning_rate`."""
    tried: Annotated[str, Field(min_length=1)]
    """The values that were tried, in words."""
    chosen: Annotated[str, Field(min_length=1)]
    """The value that was chosen, as JSON. The config must have this value."""


class SweepOriginConfig(ConfigSection):
    """The sweep that chose this config; `hubtune sweep --best` writes it, and the card reports it."""

    study: Annotated[
        str, Field(pattern=_SHA256, json_schema_extra=matching(_SHA256, "This is not a sha256: 64 hexadecimal digits."))
    ]
    """The sha256 of the study: its settings, its inputs, and the values and results of all its trials."""
    sampler: Literal["grid", "random", "tpe"]
    """How the values of each trial were chosen."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """The seed of the sampler."""
    pruning: Literal["none", "median"] = "none"
    """Whether trials were stopped early."""
    trials: Annotated[int, Field(ge=1)]
    """How many trials were completed."""
    pruned: Annotated[int, Field(ge=0)] = 0
    """How many trials were stopped early."""
    failed: Annotated[int, Field(ge=0)] = 0
    """How many trials failed."""
    metric: Annotated[str, Field(min_length=1, max_length=64)]
    """The metric by which the trials were ranked."""
    direction: Literal["minimize", "maximize"]
    """Whether a lower or a higher value of the metric is better."""
    rows: Literal["held-out", "validation"]
    """The rows on which the metric was measured."""
    rank: Annotated[int, Field(ge=1)]
    """The rank of this config among the completed trials; 1 is the best."""
    value: float
    """The metric of this config's trial."""
    fields: Annotated[list[SweptConfig], Field(min_length=1)]
    """The fields that were varied."""


def value_text(config: object, field: str) -> str:
    """Returns the value of a field as JSON, alike in a config and in the release of it.

    Args:
        config: A config as plain values.
        field: A key path, such as `data[0].template`.
    """
    value = config
    for step in field.replace("[", ".[").split("."):
        if step.startswith("[") and isinstance(value, list):
            number = int(step.strip("[]"))
            value = value[number] if number < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return json.dumps(without_places(value, field.rpartition(".")[2]), sort_keys=True)


def without_places(value: Any, key: str) -> Any:
    """Returns the value of a key without what belongs to one machine, as releases have it: of a file its name alone."""
    if isinstance(value, dict):
        return {name: without_places(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [without_places(one, key) for one in value]
    if key in _PLACES and isinstance(value, str):
        return PurePosixPath(value.replace("\\", "/")).name
    return "auto" if key == "workers" else value


class SweepFile(SweepSection):
    """A whole sweep file."""

    config: Annotated[str, Field(min_length=1)] = "hubtune.yaml"
    """The config that is varied; a relative path starts at the file's folder."""
    storage: Annotated[str, Field(min_length=1)] | None = None
    """Where the trials are kept: a database's URL, or a file, which ends in `.journal` if it is a journal."""
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The study's name in the storage; the file's unless given."""
    sweep: SweepConfig
    """What is tried."""
