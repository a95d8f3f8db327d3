"""Divides the kept rows of all datasets into the training set, in the order of drawing, and the held-out rows.

The rows of an earlier task are divided here too: into replayed rows, rows for the estimate of the Fisher information,
and held-out rows that measure forgetting.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hubtune.config.schema import TuneConfig
from hubtune.config.training import EarlierConfig
from hubtune.data import split as draw_split
from hubtune.data.segments import DropReason
from hubtune.data.source import Source
from hubtune.data.store import Array, Examples
from hubtune.errors import EmptySplitError


def interleave(
    sizes: Sequence[int], weights: Sequence[float], stop: Literal["first_exhausted", "all_exhausted"], seed: int
) -> tuple["array[int]", "array[int]"]:
    """Returns the order of drawing: the number of the dataset of each row, and the number of the row in it.

    A dataset's rows come in their order. With `first_exhausted` it ends when the next draw is from a dataset that is
    used up, so that no row comes twice. With `all_exhausted` a dataset that is used up starts again, until each was
    used up once.

    Args:
        sizes: Rows of each dataset; one without rows is never drawn from.
        weights: The chance of each, relative to the others.
        stop: When it ends.
        seed: Of the drawing.
    """
    owners, rows = array("q"), array("q")
    taken = [0] * len(sizes)
    sources = [number for number, size in enumerate(sizes) if size]
    chances = [weights[number] for number in sources]
    draw = draw_split.seeded(seed)
    while sources:
        (number,) = draw.choices(sources, chances)
        if stop == "first_exhausted" and taken[number] == sizes[number]:
            break
        owners.append(number)
        rows.append(taken[number] % sizes[number])
        taken[number] += 1
        if stop == "all_exhausted" and all(taken[other] >= sizes[other] for other in sources):
            break
    return owners, rows


@dataclass(frozen=True)
class AllRows:
    """The stored rows of all datasets in sequence, identified by their places from 0."""

    sources: Sequence[Source]

    @property
    def starts(self) -> Array:
        """The place of each dataset's first row, and one more: the number of all rows; shape (datasets + 1,)."""
        return np.cumsum([0, *(len(source.store) for source in self.sources)])

    def column(self, name: str, places: Array | None = None) -> Array:
        """Returns a column of all rows, or of those at `places`, which go up; shape (rows,)."""
        own = [None] * len(self.sources) if places is None else self.by_source(places)
        columns = [source.store.column(name, some) for source, some in zip(self.sources, own, strict=True)]
        return columns[0] if len(columns) == 1 else np.concatenate(columns)

    def by_source(self, places: Array) -> list[Array]:
        """Returns places grouped by dataset, as places in its own store; `places` is in ascending order."""
        starts = self.starts
        borders = np.searchsorted(places, starts)
        return [places[borders[n] : borders[n + 1]] - starts[n] for n in range(len(self.sources))]

    def leave_out(self, places: Array, reason: DropReason) -> None:
        """Drops rows from their datasets; `places` is in ascending order."""
        for source, own in zip(self.sources, self.by_source(places), strict=True):
            source.leave_out(own, reason)

    def examples(self, places: Array) -> Examples:
        """Returns the examples of rows in this order."""
        return Examples([source.store for source in self.sources], places)


@dataclass(frozen=True)
class Parts:
    """The places of the training, held-out and validation rows, each in ascending order."""

    train: Array
    held_out: Array
    validation: Array

    @property
    def measured(self) -> Array:
        """The places of all rows that are measured and not trained on."""
        return np.union1d(self.held_out, self.validation)


def split(config: TuneConfig, rows: AllRows) -> Parts:
    """Returns the parts of the rows; without `evaluate.validation` there are no validation rows.

    Raises:
        EmptySplitError: A part would have no rows.
    """
    mask = rows.column("held_out").astype(bool)
    given = [
        np.full(len(source.store), entry.held_out_split is not None)
        for entry, source in zip(config.data, rows.sources, strict=True)
    ]
    drawn = ~np.concatenate(given)
    mask[drawn] = draw_split.held_out_mask(rows.column("draw")[drawn], config.evaluate.holdout)
    if not mask.any():
        grouped = any(entry.group_by for entry in config.data)
        raise EmptySplitError(
            f"All rows have the same {'group' if grouped else 'text'}, so none can be held-out rows.",
            hint="Use a dataset with more than one distinct row" + (", or leave `group_by` out." if grouped else "."),
        )
    digests = rows.column("text_digest")
    copies = draw_split.copies_of_held_out(digests, mask)
    train = ~mask & ~copies
    chosen = _validation(config, rows.column("draw"), train, drawn)
    if chosen.any():
        again = draw_split.copies_of_held_out(digests, chosen) & train
        copies |= again
        train &= ~chosen & ~again
    rows.leave_out(np.flatnonzero(copies), DropReason.HELD_OUT)
    if not train.any():
        raise EmptySplitError(
            "Every training row is held out as well.",
            hint="Use a held-out split that holds other rows"
            + (", or leave `evaluate.validation` out." if chosen.any() else "."),
        )
    return Parts(np.flatnonzero(train), np.flatnonzero(mask), np.flatnonzero(chosen))


def _validation(config: TuneConfig, draws: Array, train: Array, drawn: Array) -> Array:
    """Tells for each row whether it is a validation row; at least one is, if the config asks for some."""
    chosen = np.zeros(len(draws), dtype=bool)
    evaluate = config.evaluate
    if evaluate.validation is None or not train.any():
        return chosen
    # Held-out rows have the lowest draws; if a split of its own is held out, they take none.
    above = draws - np.where(drawn, int(evaluate.holdout * draw_split.PLACES), 0)
    chosen[train] = above[train] < max(int(evaluate.validation * draw_split.PLACES), int(above[train].min()) + 1)
    return chosen


def drawing_order(config: TuneConfig, rows: AllRows, train: Array) -> Array:
    """Returns the places of the training rows in the order of training, given the places in ascending order."""
    if config.rows.mix != "interleave":
        return train
    borders = np.searchsorted(train, rows.starts)
    sizes = [int(size) for size in np.diff(borders)]
    owners, numbers = interleave(sizes, [entry.weight for entry in config.data], config.rows.stop, config.rows.seed)
    order: Array = train[borders[np.frombuffer(owners, dtype=np.int64)] + np.frombuffer(numbers, dtype=np.int64)]
    return order


def split_method(config: TuneConfig) -> str:
    """Describes what decides on which side of the split a row is."""
    methods = [
        draw_split.GIVEN_METHOD
        if entry.held_out_split
        else draw_split.GROUP_METHOD
        if entry.group_by
        else draw_split.METHOD
        for entry in config.data
    ]
    return "; ".join(dict.fromkeys(methods))


@dataclass(frozen=True)
class EarlierRows:
    """The rows of an earlier task in a run; held-out rows are never trained on, and trained rows never measured.

    Attributes:
        replayed: Training rows besides the new ones; a row comes again if there are too few.
        fisher: Rows that tell how much each weight matters to the task; none without elastic weight consolidation.
        held_out: Rows to measure forgetting on.
        left_out: Rows that are on the other side of the new data's split, and so are not used.
    """

    replayed: Examples
    fisher: Examples
    held_out: Examples
    left_out: int


def choose_earlier(
    config: EarlierConfig, train: Examples, held_out: Examples, new: tuple[Examples, Examples], seed: int
) -> EarlierRows:
    """Samples the rows of an earlier task.

    Args:
        config: How many, and for what.
        train: The task's rows that are not held out.
        held_out: Those that are.
        new: The rows of the new task, those to train on and those that are held out.
        seed: Of the drawing.

    Raises:
        EmptySplitError: There are no rows for what is asked.
    """
    known = [np.unique(rows.text_digests) for rows in new]
    learnable = train.at(np.flatnonzero(~draw_split.among(train.text_digests, known[1])))
    measured = held_out.at(np.flatnonzero(~draw_split.among(held_out.text_digests, known[0])))
    if not len(measured):
        raise EmptySplitError(
            "Every held-out row of the earlier data is among the training rows, so forgetting cannot be measured.",
            hint="Name other data in `earlier.data`, or state the `earlier.holdout` of the earlier run.",
        )
    if not len(learnable) and (config.replay or config.ewc):
        raise EmptySplitError(
            "Every row of the earlier data that is not held out is among the held-out rows of `data`.",
            hint="Name other data in `earlier.data`.",
        )
    wanted = max(1, round(config.replay / (1 - config.replay) * len(new[0]))) if config.replay else 0
    fisher = min(config.fisher_rows, len(learnable)) if config.ewc else 0
    return EarlierRows(
        replayed=learnable.at(_drawn(len(learnable), wanted, f"replay {seed}")),
        fisher=learnable.at(_drawn(len(learnable), fisher, f"fisher {seed}")),
        held_out=measured,
        left_out=len(train) - len(learnable) + len(held_out) - len(measured),
    )


def _drawn(rows: int, wanted: int, seed: str) -> Array:
    """Draws numbers of rows, each as often as the others, give or take once."""
    draw = draw_split.seeded(seed)
    chosen: list[int] = []
    while len(chosen) < wanted:
        chosen += draw.sample(range(rows), min(rows, wanted - len(chosen)))
    return np.array(chosen, dtype=np.int64)
