"""Finds rows that repeat other rows, and drops those that the config says, after the split is known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hubtune.config.data import COPY_KINDS, CopyKind, ScreenConfig
from hubtune.data.partition import AllRows
from hubtune.data.screening.duplicates import SplitSide, contamination
from hubtune.data.screening.screen import Count
from hubtune.data.segments import DropReason
from hubtune.data.store import Array
from hubtune.errors import EmptySplitError, ScreeningError

_REASONS: dict[CopyKind, DropReason] = {
    "duplicates": DropReason.DUPLICATE,
    "near_duplicates": DropReason.NEAR_DUPLICATE,
    "contamination": DropReason.CONTAMINATED,
}
_NAMES: dict[CopyKind, str] = {
    "duplicates": "the text of an earlier row",
    "near_duplicates": "most of the text of an earlier row",
    "contamination": "a text that is held out, or thirteen words of one",
}


@dataclass(frozen=True)
class Remaining:
    """The remaining training rows, and the held-out rows.

    Attributes:
        train: Places of rows, going up; `held_out` too.
        counts: What was found, by kind; `hits` of contamination are the training rows, `rows` the held-out ones.
    """

    train: Array
    held_out: Array
    counts: dict[CopyKind, Count]


def without_repeats(config: ScreenConfig, rows: AllRows, train: Array, held_out: Array) -> Remaining:
    """Finds rows that repeat others.

    Duplicates are searched for among the training rows and among the held-out rows; the first of them stays. A training
    row that repeats a held-out row is contamination, and the training row is dropped.

    Args:
        config: What to do with them.
        rows: The rows of all datasets.
        train: Places of the training rows, going up.
        held_out: Places of the held-out rows, going up.

    Raises:
        ScreeningError: There are some of a kind that the config refuses.
        EmptySplitError: Nothing would be left to train on.
    """
    learned, measured = SplitSide(_Traces(rows, train)), SplitSide(_Traces(rows, held_out))
    across = contamination(learned, measured)
    found = _within(learned, train, measured, held_out) | {"contamination": train[across.train]}
    _require_allowed(config, rows, found)
    gone = np.empty(0, dtype=np.int64)
    counts = {}
    for kind in COPY_KINDS:
        dropped = np.setdiff1d(found[kind], gone) if config.copies(kind) == "drop" else gone[:0]
        rows.leave_out(dropped, _REASONS[kind])
        gone = np.union1d(gone, dropped)
        several = len(across.held_out) if kind == "contamination" else len(found[kind])
        counts[kind] = Count(rows=several, hits=len(found[kind]), dropped=len(dropped))
    remaining = Remaining(
        train=train[~np.isin(train, gone)] if len(gone) else train,
        held_out=held_out[~np.isin(held_out, gone)] if len(gone) else held_out,
        counts=counts,
    )
    if not len(remaining.train):
        raise EmptySplitError(
            "Every training row repeats held-out text.",
            hint="Hold out other rows, or keep them with `screen.contamination: report`.",
        )
    return remaining


def _within(learned: SplitSide, train: Array, measured: SplitSide, held_out: Array) -> dict[CopyKind, Array]:
    one, other = learned.copies(), measured.copies()
    return {
        "duplicates": np.union1d(train[one.duplicates], held_out[other.duplicates]),
        "near_duplicates": np.union1d(train[one.near_duplicates], held_out[other.near_duplicates]),
    }


@dataclass(frozen=True)
class _Traces:
    """The traces of the rows at some places, which go up."""

    rows: AllRows
    places: Array

    def digests(self) -> Array:
        return self.rows.column("own_digest", self.places)

    def sketches(self, places: Array) -> Array:
        wanted = self.places[places]
        if len(self.rows.sources) == 1:
            return self.rows.sources[0].store.sketches(wanted)
        found = np.empty((len(wanted), 128), dtype=np.uint32)
        owners = np.searchsorted(self.rows.starts, wanted, side="right") - 1
        for number in np.unique(owners):
            chosen = owners == number
            found[chosen] = self.rows.sources[number].store.sketches(wanted[chosen] - self.rows.starts[number])
        return found

    def runs(self) -> Iterator[tuple[Array, Array]]:
        for source, before in zip(self.rows.sources, self.rows.starts, strict=False):
            for start, borders, keys in source.store.lists("runs"):
                first = int(before) + start
                at, end = np.searchsorted(self.places, [first, first + len(borders) - 1])
                own = self.places[at:end] - first
                sizes = np.diff(borders)
                chosen = np.zeros(len(sizes), dtype=bool)
                chosen[own] = True
                yield np.repeat(np.arange(at, end), sizes[own]), keys[np.repeat(chosen, sizes)]


def _require_allowed(config: ScreenConfig, rows: AllRows, found: Mapping[CopyKind, Array]) -> None:
    refused = [kind for kind in COPY_KINDS if config.copies(kind) == "refuse" and len(found[kind])]
    if refused:
        raise ScreeningError(
            "Rows repeat others, and the config refuses to train on them.",
            details=[_line(kind, rows, found[kind]) for kind in refused],
            hint="Take them out of the data, or choose with "
            + ", ".join(f"`screen.{kind}: drop`" for kind in refused)
            + " (or report) what becomes of such rows.",
        )


def _line(kind: CopyKind, rows: AllRows, found: Array) -> str:
    source, own = next(
        (source, own) for source, own in zip(rows.sources, rows.by_source(found), strict=True) if len(own)
    )
    first = int(source.store.column("row")[own].min())
    several = "1 row repeats" if len(found) == 1 else f"{len(found):,} rows repeat"
    return f"{several} {_NAMES[kind]}, first row {first:,} of {source.name}"
