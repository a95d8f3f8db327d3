"""Draws rows of several data sets in turn, by weight."""

import random
from collections.abc import Sequence
from typing import Literal


def interleave(
    sizes: Sequence[int], weights: Sequence[float], stop: Literal["first_exhausted", "all_exhausted"], seed: int
) -> list[tuple[int, int]]:
    """Returns the order of drawing, each as the number of the data set and of its row.

    A data set's rows come in their order. With `first_exhausted` it ends when the next draw is from a data set that is
    used up, so that no row comes twice. With `all_exhausted` a data set that is used up begins anew, until each was
    used up once.

    Args:
        sizes: Rows of each data set; one without rows is never drawn from.
        weights: The chance of each, relative to the others.
        stop: When it ends.
        seed: Of the drawing.
    """
    drawn: list[tuple[int, int]] = []
    taken = [0] * len(sizes)
    sources = [number for number, size in enumerate(sizes) if size]
    chances = [weights[number] for number in sources]
    random_ = random.Random(seed)  # noqa: S311 - no secret
    while sources:
        (number,) = random_.choices(sources, chances)
        if stop == "first_exhausted" and taken[number] == sizes[number]:
            break
        drawn.append((number, taken[number] % sizes[number]))
        taken[number] += 1
        if stop == "all_exhausted" and all(taken[other] >= sizes[other] for other in sources):
            break
    return drawn
