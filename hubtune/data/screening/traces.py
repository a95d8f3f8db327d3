"""What is taken from each row, when it is read, so that copies of it can be found later without its text.

The row's own words count, in lower case, without those that a template gives to every row.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hubtune.data.screening.sketches import runs, sketch
from hubtune.data.split import text_digest

if TYPE_CHECKING:
    from hubtune.data.screening.sketches import Array

LONG_RUN = 13
"""Words that two rows have to have in common, one after the other, to count as contamination (Brown et al., 2020)."""


class Traces(Protocol):
    """The traces of some rows, which are known by their places, from 0."""

    def digests(self) -> "Array":
        """One digest of 16 bytes for each row, shape (rows,); two spellings of the same words have the same."""

    def sketches(self, places: "Array") -> "Array":
        """The sketches of rows, shape (places, 128)."""

    def runs(self) -> "Iterator[tuple[Array, Array]]":
        """The keys of all runs of 13 words, some rows at a time: each one's row, by place, and key, shape (runs,)."""


@dataclass(frozen=True)
class Trace:
    """The traces of a few rows, in memory.

    Attributes:
        digest: 16 bytes for each row.
        sketch: Shape (rows, 128), 32 bits each.
        runs: The keys of each row's long runs.
    """

    digest: list[bytes]
    sketch: "Array"
    runs: list[list[int]]


def trace(folded: Sequence[str]) -> Trace:
    """Returns what is to be kept of rows, given by their own words as `hubtune.data.split.fold` returns them."""
    words = [text.split() for text in folded]
    return Trace(
        digest=[text_digest(text) for text in folded],
        sketch=sketch(words),
        runs=[_long_runs(every) for every in words],
    )


def _long_runs(words: Sequence[str]) -> list[int]:
    if len(words) < LONG_RUN:
        return []
    return [int.from_bytes(hashlib.blake2b(run, digest_size=8).digest(), "little") for run in runs(words, LONG_RUN)]
