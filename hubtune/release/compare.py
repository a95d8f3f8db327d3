"""The job of `hubtune compare A B`: two runs or releases side by side, and which of their values are comparable."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError
from hubtune.pipeline.published import read_release
from hubtune.records.base import Record
from hubtune.records.data import DataRecord
from hubtune.records.results import EARLIER_HELD_OUT, EvaluationRecord, Group, Measure
from hubtune.records.rundir import RunDirectory
from hubtune.release.diff_record import Verdict, difference
from hubtune.release.differences import earlier_rows_of, rows_of

# What depends on the tokenizer alone, and says nothing of how was measured.
_OF_THE_TOKENIZER = frozenset({"total_bytes"})
# Comparable between tokenizers, if the same text was read to its end.
_OF_TEXT = frozenset({"bits_per_byte"})


class ComparedSide(Record):
    """One of the two.

    Attributes:
        named: As it was named.
        commit: The commit of a release; null for a run.
    """

    named: str
    kind: Literal["run", "release"]
    commit: str | None
    precision: str


class ComparedMeasure(Record):
    """One measure of both tuned models; a value is null if that side has none.

    Attributes:
        difference: `b - a`; null if the values are not comparable.
        interval: The 95% interval of the difference, if one can be computed.
        comparable: Whether both were measured in the same way, on the same items.
        reason: The reason for the verdict.
    """

    name: str
    group: Group
    split: str
    a: float | None
    a_base: float | None
    a_n: int | None
    b: float | None
    b_base: float | None
    b_n: int | None
    difference: float | None
    interval: tuple[float, float] | None
    comparable: bool
    verdict: Verdict
    reason: str


class ComparisonRecord(Record):
    """Two runs or releases.

    Attributes:
        same_rows: Whether the same rows were held out, with the same tokens.
    """

    a: ComparedSide
    b: ComparedSide
    same_rows: bool
    measures: list[ComparedMeasure]


@dataclass(frozen=True)
class _Side:
    side: ComparedSide
    evaluation: EvaluationRecord
    data: DataRecord
    config: TuneConfig


def compare(a: str, b: str) -> ComparisonRecord:
    """Compares two runs or releases.

    Args:
        a: A run directory, or a release as REPO@TAG.
        b: Another.

    Raises:
        ConfigError: One is neither.
        HubError: A release cannot be read.
        RecordError: A run has not been measured, or a release has no records that can be read.
    """
    first, second = _read(a), _read(b)
    same_rows = rows_of(first.data, first.config) == rows_of(second.data, second.config)
    return ComparisonRecord(
        a=first.side, b=second.side, same_rows=same_rows, measures=list(_measures(first, second, same_rows=same_rows))
    )


def _read(named: str) -> _Side:
    if Path(named).is_dir():
        run = RunDirectory.open(Path(named))
        found = run.read(EvaluationRecord)
        side = ComparedSide(named=named, kind="run", commit=None, precision=found.precision)
        return _Side(side, found, run.read(DataRecord), run.config())
    repo, _, revision = named.partition("@")
    if not repo or not revision:
        raise ConfigError(
            f"{named!r} is neither a run directory here nor a release.",
            hint="Give a folder such as runs/20260131-120000-ab12cd, or REPO@TAG, such as org/model@v1.0.0.",
        )
    release = read_release(repo, revision)
    side = ComparedSide(named=named, kind="release", commit=release.commit, precision=release.evaluation.precision)
    return _Side(side, release.evaluation, release.data, release.config)


def _measures(first: _Side, second: _Side, *, same_rows: bool) -> Iterator[ComparedMeasure]:
    before, after = _by_name(first), _by_name(second)
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        fault = _differs(old, new, _same_items(key, first, second, same_rows=same_rows))
        # Told apart here, with the reason; there the rows alone count.
        found = difference(old, new, same_rows=True)
        present = new or old
        assert present is not None, "a key is of one of them"
        yield ComparedMeasure(
            name=key[0],
            group=present.group,
            split=key[1],
            a=old.tuned if old else None,
            a_base=old.base if old else None,
            a_n=old.n if old else None,
            b=new.tuned if new else None,
            b_base=new.base if new else None,
            b_n=new.n if new else None,
            difference=None if fault else found.value,
            interval=None if fault else found.interval,
            comparable=fault is None and found.value is not None,
            verdict="not comparable" if fault else found.verdict,
            reason=fault or found.reason,
        )


def _by_name(side: _Side) -> dict[tuple[str, str], Measure]:
    return {(measure.name, measure.split): measure for measure in side.evaluation.measures}


def _same_items(key: tuple[str, str], first: _Side, second: _Side, *, same_rows: bool) -> bool:
    name, split = key
    if split == EARLIER_HELD_OUT:
        return earlier_rows_of(first.data, first.config) == earlier_rows_of(second.data, second.config)
    if split != "held-out" and not split.startswith("train"):
        # Items of the metric's own, which its version and settings stand for.
        return True
    return same_rows or (name in _OF_TEXT and _text_of(first) == _text_of(second) is not None)


def _text_of(side: _Side) -> tuple[object, ...] | None:
    """Returns what decides which text was measured, whatever the tokens; None if rows were cut by their tokens."""
    if side.data.held_out.truncated:
        return None
    data, settings = side.data, side.config.evaluate
    sources = [(found.repo, found.name, found.split, found.template, found.fingerprint) for found in data.sources]
    return (sources, data.held_out.rows, data.split_method, settings.holdout, settings.seed, settings.max_items)


def _differs(old: Measure | None, new: Measure | None, same_items: bool) -> str | None:
    """Returns in what two measures differ that have to be alike to compare; None if they compare."""
    if old is None or new is None or old.tuned is None or new.tuned is None:
        return "not both have a value"
    if not same_items:
        return "they were not measured on the same rows"
    if old.version != new.version:
        return f"the measure is defined otherwise: version {old.version} and {new.version}"
    if old.n != new.n:
        return f"they were measured on {old.n:,} and {new.n:,} items"
    if old.seed != new.seed and None not in (old.seed, new.seed):
        return f"their seeds are {old.seed} and {new.seed}"
    keys = sorted((old.settings.keys() | new.settings.keys()) - _OF_THE_TOKENIZER)
    others = [key for key in keys if old.settings.get(key) != new.settings.get(key)]
    return f"they were measured with another {', '.join(others)}" if others else None
