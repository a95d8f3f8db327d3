"""The rows of an earlier task: which of them are replayed, which tell what matters to it, and which measure it."""

import random
from dataclasses import dataclass

import numpy as np

from hubtune.config.earlier import EarlierConfig
from hubtune.data.split import among
from hubtune.data.store import Array, Examples
from hubtune.errors import EmptySplitError


@dataclass(frozen=True)
class EarlierRows:
    """What a run takes of an earlier task; nothing held out is learnt, and nothing learnt is measured.

    Attributes:
        replayed: Rows to train on besides the new ones; a row comes again where there are too few.
        matter: Rows that tell how much each weight matters to the task; none without elastic weight consolidation.
        held_out: Rows to measure forgetting on.
        left_out: Rows that stand on the other side of the new data's split, and so are not used.
    """

    replayed: Examples
    matter: Examples
    held_out: Examples
    left_out: int


def choose_earlier(
    config: EarlierConfig, train: Examples, held_out: Examples, new: tuple[Examples, Examples], seed: int
) -> EarlierRows:
    """Draws the rows of an earlier task.

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
    learnable = train.at(np.flatnonzero(~among(train.text_digests, known[1])))
    measured = held_out.at(np.flatnonzero(~among(held_out.text_digests, known[0])))
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
    matter = min(config.fisher_rows, len(learnable)) if config.ewc else 0
    return EarlierRows(
        replayed=learnable.at(_drawn(len(learnable), wanted, f"replay {seed}")),
        matter=learnable.at(_drawn(len(learnable), matter, f"fisher {seed}")),
        held_out=measured,
        left_out=len(train) - len(learnable) + len(held_out) - len(measured),
    )


def _drawn(rows: int, wanted: int, seed: str) -> Array:
    """Draws numbers of rows, each as often as the others, give or take once."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    chosen: list[int] = []
    while len(chosen) < wanted:
        chosen += draw.sample(range(rows), min(rows, wanted - len(chosen)))
    return np.array(chosen, dtype=np.int64)
