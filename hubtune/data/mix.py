"""Draws rows of several data sets in turn, by weight."""

import random
from array import array
from collections.abc import Sequence
from typing import Literal


def interleave(
    sizes: Sequence[int], weights: Sequence[float], stop: Literal["first_exhausted", "all_exhausted"], seed: int
) -> tuple["array[int]", "array[int]"]:
    """Returns the order of drawing: the number of the data set of each row, and the number of the row in it.

    A data set's rows come in their order. With `first_exhausted` it ends when the next draw is from a data set that is
    used up, so that no row comes twice. With `all_exhausted` a data set that is used up begins anew, until each was
    used up once.

    Args:
        sizes: Rows of each data set; one without rows is never drawn from.
        weights: The chance of each, relative to the others.
        stop: When it ends.
        seed: Of the drawing.
    """
    owners, rows = array("q"), array("q")
    taken = [0] * len(sizes)
    sources = [number for number, size in enumerate(sizes) if size]
    chances = [weights[number] for number in sources]
    random_ = random.Random(seed)  # noqa: S311 - no secret
    while sources:
        (number,) = random_.choices(sources, chances)
        if stop == "first_exhausted" and taken[number] == sizes[number]:
            break
        owners.append(number)
        rows.append(taken[number] % sizes[number])
        taken[number] += 1
        if stop == "all_exhausted" and all(taken[other] >= sizes[other] for other in sources):
            break
    return owners, rows
