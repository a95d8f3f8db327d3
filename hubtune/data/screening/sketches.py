"""Short sketches of texts, which show how similar two texts are, and which texts may be similar.

MinHash after Broder (1997): the share of equal values in two sketches estimates the Jaccard index of the two sets of
word sequences. A sketch has 512 bytes whatever the length of the text. Sketches stay on disk: memory holds one key of
eight bytes per text at a time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hubtune.data.split import text_digest

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


RUN = 5
"""Words in a run. A text with fewer words is one run."""
PERMUTATIONS = 128
SEED = 1
ALIKE = 0.8
"""The Jaccard index from which two texts count as near duplicates."""
_SCHEME = "affine32"
# 21 bands of 6 values: of two texts with a Jaccard index of 0.8, 99.8% share a band.
_BANDS, _BAND = 21, 6
# More texts than this in one bucket are told apart by a further band before they are compared with each other.
_MOST = 5000
_AT_ONCE = 10_000
# An odd number with bits all over, as multiplicative hashing takes (Knuth, 1973; the golden ratio of 64 bits).
_FACTOR = 0x9E3779B97F4A7C15
LONG_RUN = 13
"""Words that two rows have to have in common, one after the other, to count as contamination (Brown et al., 2020)."""


class Sketches(Protocol):
    """The sketches of texts, in memory or on disk; an array of shape (texts, 128) is one."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, places: "Array", /) -> "Array":
        """The sketches of texts at these places, shape (places, 128)."""


def runs(words: Sequence[str], length: int) -> Iterator[bytes]:
    """Yields each sequence of `length` words; all words if there are fewer."""
    for start in range(max(1, len(words) - length + 1)):
        yield " ".join(words[start : start + length]).encode()


def sketch(texts: Iterable[Sequence[str]]) -> "Array":
    """Returns the sketches of texts, given as words: one row of 128 values for each."""
    from datasketch import MinHash

    own = MinHash(PERMUTATIONS, seed=SEED, scheme=_SCHEME)
    rows = []
    for words in texts:
        own.clear()
        every = list(runs(words, RUN))
        for start in range(0, len(every), _AT_ONCE):
            own.update_batch(every[start : start + _AT_ONCE])
        rows.append(own.hashvalues.copy())
    return np.array(rows, dtype=np.uint32).reshape(len(rows), PERMUTATIONS)


def alike(one: "Array", others: "Array") -> "Array":
    """Returns for each of the other sketches whether it is a near duplicate."""
    result: Array = (others == one).mean(axis=1) >= ALIKE
    return result


def candidates(sketches: Sketches) -> "Iterator[Array]":
    """Yields groups of places of texts that may be similar: those that share a band.

    Which groups there are does not depend on the order of the texts. Two texts can be in several groups together.
    """
    for band in range(_BANDS):
        yield from _buckets(sketches, None, band, 0)


def _buckets(sketches: Sketches, places: "Array | None", band: int, depth: int) -> "Iterator[Array]":
    """Gives the groups among all texts, or those at `places`."""
    keys = _keys(sketches, places, (band + depth) % _BANDS * _BAND)
    order = np.argsort(keys, kind="stable")
    # In place: a second array of keys would be the largest thing in memory.
    keys.sort(kind="stable")
    same = np.zeros(len(keys) + 1, dtype=bool)
    same[1:-1] = keys[1:] == keys[:-1]
    del keys
    # A run of equal keys begins before the first that is the same as the one before it.
    starts, ends = np.flatnonzero(same[1:] & ~same[:-1]), np.flatnonzero(~same[1:] & same[:-1]) + 1
    for start, end in zip(starts, ends, strict=True):
        bucket = order[start:end] if places is None else places[order[start:end]]
        if len(bucket) > _MOST and depth < _BANDS - 1:
            yield from _buckets(sketches, bucket, band, depth + 1)
        else:
            yield bucket


def _keys(sketches: Sketches, places: "Array | None", start: int) -> "Array":
    """Returns one number for the six values from `start` of each sketch; equal values give equal numbers."""
    size = len(sketches) if places is None else len(places)
    keys = np.zeros(size, dtype=np.uint64)
    for first in range(0, size, _AT_ONCE):
        some = np.arange(first, min(size, first + _AT_ONCE)) if places is None else places[first : first + _AT_ONCE]
        values = sketches[some][:, start : start + _BAND].astype(np.uint64)
        key = keys[first : first + _AT_ONCE]
        for column in range(_BAND):
            key += values[:, column]
            key *= np.uint64(_FACTOR)
            key ^= key >> np.uint64(29)
    return keys


class Traces(Protocol):
    """The traces of some rows, identified by their places from 0."""

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
    """Returns the traces of rows, from their own words as returned by `hubtune.data.split.fold`."""
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
