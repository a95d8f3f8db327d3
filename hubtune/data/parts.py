"""Divides the kept rows of all data sets into those to train on, in the order of drawing, and those held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hubtune.config.schema import TuneConfig
from hubtune.data.faults import Reason
from hubtune.data.mix import interleave
from hubtune.data.source import Source
from hubtune.data.split import GIVEN_METHOD, GROUP_METHOD, METHOD, copies_of_held_out, held_out_mask
from hubtune.data.store import Array, Examples
from hubtune.errors import EmptySplitError


@dataclass(frozen=True)
class AllRows:
    """The stored rows of all data sets, one after the other, known by their places from 0."""

    sources: Sequence[Source]

    @property
    def starts(self) -> Array:
        """The place of each data set's first row, and one more: the number of all rows; shape (data sets + 1,)."""
        return np.cumsum([0, *(len(source.store) for source in self.sources)])

    def column(self, name: str, places: Array | None = None) -> Array:
        """Returns a column of all rows, or of those at `places`, which go up; shape (rows,)."""
        own = [None] * len(self.sources) if places is None else self.by_source(places)
        columns = [source.store.column(name, some) for source, some in zip(self.sources, own, strict=True)]
        return columns[0] if len(columns) == 1 else np.concatenate(columns)

    def by_source(self, places: Array) -> list[Array]:
        """Returns places of each data set, as places in its own store; `places` goes up."""
        starts = self.starts
        borders = np.searchsorted(places, starts)
        return [places[borders[n] : borders[n + 1]] - starts[n] for n in range(len(self.sources))]

    def leave_out(self, places: Array, reason: Reason) -> None:
        """Takes rows out of their data sets; `places` goes up."""
        for source, own in zip(self.sources, self.by_source(places), strict=True):
            source.leave_out(own, reason)

    def examples(self, places: Array) -> Examples:
        """Returns the examples of rows in this order."""
        return Examples([source.store for source in self.sources], places)


def split(config: TuneConfig, rows: AllRows) -> tuple[Array, Array]:
    """Returns the places of the rows to train on, and of those that are held out; both go up.

    Raises:
        EmptySplitError: One of the two parts would have no rows.
    """
    mask = rows.column("held_out").astype(bool)
    given = [
        np.full(len(source.store), entry.held_out_split is not None)
        for entry, source in zip(config.data, rows.sources, strict=True)
    ]
    drawn = ~np.concatenate(given)
    mask[drawn] = held_out_mask(rows.column("draw")[drawn], config.evaluate.holdout)
    if not mask.any():
        grouped = any(entry.group_by for entry in config.data)
        raise EmptySplitError(
            f"All rows have the same {'group' if grouped else 'text'}, so none can be held out to measure on.",
            hint="Use a data set with more than one distinct row" + (", or leave `group_by` out." if grouped else "."),
        )
    copies = copies_of_held_out(rows.column("text_digest"), mask)
    rows.leave_out(np.flatnonzero(copies), Reason.HELD_OUT)
    train = np.flatnonzero(~mask & ~copies)
    if not len(train):
        raise EmptySplitError(
            "Every training row is held out as well.", hint="Use a held-out split that holds other rows."
        )
    return train, np.flatnonzero(mask)


def drawing_order(config: TuneConfig, rows: AllRows, train: Array) -> Array:
    """Returns the places of the rows to train on in their order, given those that there are, going up."""
    if config.rows.mix != "interleave":
        return train
    borders = np.searchsorted(train, rows.starts)
    sizes = [int(size) for size in np.diff(borders)]
    owners, numbers = interleave(sizes, [entry.weight for entry in config.data], config.rows.stop, config.rows.seed)
    order: Array = train[borders[np.frombuffer(owners, dtype=np.int64)] + np.frombuffer(numbers, dtype=np.int64)]
    return order


def split_method(config: TuneConfig) -> str:
    """Says what decides on which side a row falls."""
    methods = [
        GIVEN_METHOD if entry.held_out_split else GROUP_METHOD if entry.group_by else METHOD for entry in config.data
    ]
    return "; ".join(dict.fromkeys(methods))
