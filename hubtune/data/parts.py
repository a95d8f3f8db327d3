"""Divides the kept rows of all data sets into those to train on, in the order of drawing, and those held out."""

from collections.abc import Sequence

from hubtune.config.schema import TuneConfig
from hubtune.data.faults import Reason
from hubtune.data.mix import interleave
from hubtune.data.source import Kept, Source
from hubtune.data.split import GIVEN_METHOD, GROUP_METHOD, METHOD, copies_of_held_out, held_out_mask
from hubtune.errors import EmptySplitError


def split(config: TuneConfig, sources: Sequence[Source]) -> tuple[list[list[Kept]], list[Kept]]:
    """Returns the rows to train on of each data set, and all those that are held out.

    Raises:
        EmptySplitError: One of the two parts would have no rows.
    """
    every = [(number, kept) for number, source in enumerate(sources) for kept in source.kept]
    drawn = [place for place, (number, _) in enumerate(every) if config.data[number].held_out_split is None]
    keys = [every[place][1].group or every[place][1].example.text for place in drawn]
    mask = [kept.held_out for _, kept in every]
    for place, out in zip(drawn, held_out_mask(keys, config.evaluate.holdout, config.evaluate.seed), strict=True):
        mask[place] = out
    if not any(mask):
        grouped = any(entry.group_by for entry in config.data)
        raise EmptySplitError(
            f"All rows have the same {'group' if grouped else 'text'}, so none can be held out to measure on.",
            hint="Use a data set with more than one distinct row" + (", or leave `group_by` out." if grouped else "."),
        )
    copies = copies_of_held_out([kept.example.text for _, kept in every], mask)
    train: list[list[Kept]] = [[] for _ in sources]
    left_out: list[list[Kept]] = [[] for _ in sources]
    for (number, kept), out, copy in zip(every, mask, copies, strict=True):
        if not out:
            (left_out if copy else train)[number].append(kept)
    for source, rows in zip(sources, left_out, strict=True):
        source.leave_out(rows, Reason.HELD_OUT)
    if not any(train):
        raise EmptySplitError(
            "Every row to train on is held out as well.", hint="Use a held-out split that holds other rows."
        )
    return train, [kept for (_, kept), out in zip(every, mask, strict=True) if out]


def drawing_order(config: TuneConfig, train: Sequence[Sequence[Kept]]) -> list[tuple[int, int]]:
    """Returns the rows to train on in their order, each as the number of the data set and of its row."""
    sizes = [len(rows) for rows in train]
    if config.rows.mix == "interleave":
        return interleave(sizes, [entry.weight for entry in config.data], config.rows.stop, config.rows.seed)
    return [(source, row) for source, size in enumerate(sizes) for row in range(size)]


def split_method(config: TuneConfig) -> str:
    """Says what decides on which side a row falls."""
    methods = [
        GIVEN_METHOD if entry.held_out_split else GROUP_METHOD if entry.group_by else METHOD for entry in config.data
    ]
    return "; ".join(dict.fromkeys(methods))
