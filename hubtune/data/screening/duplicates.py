"""Finds rows that repeat others: duplicates and near duplicates on one side of the split, contamination across it.

The sketches that are compared were made when each row was read (`hubtune.data.screening.sketches`), and are on disk.
Memory holds at most a few dozen bytes per row.
"""

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hubtune.data.screening.sketches import Traces, alike, candidates
from hubtune.data.split import among

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hubtune.data.screening.sketches import Array, Sketches

BOILERPLATE = 10
"""A run in more training rows than this is a phrase of the dataset, not a copy (Brown et al., 2020, appendix C)."""
# Runs of held-out rows that are looked for at once, 16 bytes each; if there are more, several passes are made.
_RUNS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Copies:
    """Rows of one side of the split that repeat an earlier row of the same side, by their places.

    Attributes:
        duplicates: Those with the text of an earlier row, apart from case, punctuation and spacing.
        near_duplicates: Others that belong to the near duplicates of an earlier row, at once or by way of a third.
    """

    duplicates: "Array"
    near_duplicates: "Array"


@dataclass(frozen=True)
class ContaminatedRows:
    """Rows of the two sides of the split that share a text, a long run of words, or most of their short runs.

    Attributes:
        train: Places of the training rows.
        held_out: Places of the held-out rows.
    """

    train: "Array"
    held_out: "Array"


class SplitSide:
    """The rows of one side of the split.

    Attributes:
        traces: What was taken from the rows.
        distinct: Places of the rows whose text no earlier row has.
    """

    def __init__(self, traces: Traces) -> None:
        self.traces = traces
        digests = traces.digests()
        # Stable, so that the first of equal rows comes first.
        order = np.argsort(digests, kind="stable")
        # One array of digests at a time: they are the largest thing in memory.
        digests = digests[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = digests[1:] != digests[:-1]
        del digests
        self._first = np.zeros(len(order), dtype=bool)
        self._first[order[first]] = True
        self.distinct = np.flatnonzero(self._first)

    def copies(self) -> Copies:
        """Finds the rows that repeat an earlier row."""
        sketches = _Chosen(self.traces, self.distinct)
        groups = _Groups(len(self.distinct))
        for bucket in candidates(sketches):
            _join(sketches, bucket, groups)
        return Copies(duplicates=np.flatnonzero(~self._first), near_duplicates=self.distinct[groups.later()])

    def with_texts_of(self, places: "Array") -> "Array":
        """Returns the places of all rows with the text of one of these."""
        if not len(places):
            return places
        digests = self.traces.digests()
        return np.flatnonzero(among(digests, np.sort(digests[places])))

    def distinct_mask(self) -> "Array":
        """Returns for each row whether no earlier row has the same text."""
        return self._first


def contamination(train: SplitSide, held_out: SplitSide) -> ContaminatedRows:
    """Finds the rows that make the model look better than it is on the held-out rows."""
    guilty, leaked = _equal_across(train, held_out)
    pairs = (_alike_across(train, held_out), _long_runs(train, held_out))
    return ContaminatedRows(
        train=train.with_texts_of(np.unique(np.concatenate([guilty, *(pair[0] for pair in pairs)]))),
        held_out=held_out.with_texts_of(np.unique(np.concatenate([leaked, *(pair[1] for pair in pairs)]))),
    )


def _equal_across(train: SplitSide, held_out: SplitSide) -> "tuple[Array, Array]":
    learned, measured = train.traces.digests(), held_out.traces.digests()
    guilty = np.flatnonzero(among(learned, np.sort(measured)))
    return guilty, np.flatnonzero(among(measured, np.sort(learned[guilty])))


def _alike_across(train: SplitSide, held_out: SplitSide) -> "tuple[Array, Array]":
    border = len(train.distinct)
    sketches = _Joined(_Chosen(train.traces, train.distinct), _Chosen(held_out.traces, held_out.distinct))
    guilty, leaked = np.zeros(border, dtype=bool), np.zeros(len(held_out.distinct), dtype=bool)
    for bucket in candidates(sketches):
        left, right = bucket[bucket < border], bucket[bucket >= border]
        if not len(left) or not len(right):
            continue
        others = sketches[left]
        for one in right:
            near = alike(sketches[np.array([one])], others)
            guilty[left[near]] = True
            leaked[one - border] |= near.any()
    return train.distinct[guilty], held_out.distinct[leaked]


def _long_runs(train: SplitSide, held_out: SplitSide) -> "tuple[Array, Array]":
    """Returns the places of rows on either side that share a run of 13 words, phrases of the dataset left out."""
    guilty, leaked = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    total = sum(len(keys) for _, keys in _distinct_runs(held_out))
    passes = -(-total // _RUNS_AT_ONCE)
    for number in range(passes):
        part = _KeyPart(number, passes)
        keys = np.unique(np.concatenate([part.of(keys) for _, keys in _distinct_runs(held_out)]))
        counts = np.zeros(len(keys), dtype=np.int64)
        for _, which in _hits(train, keys, part):
            np.add.at(counts, which, 1)
        copied = keys[(counts > 0) & (counts <= BOILERPLATE)]
        if len(copied):
            guilty += [places for places, _ in _hits(train, copied, part)]
            leaked += [places for places, _ in _hits(held_out, copied, part)]
    return np.unique(np.concatenate(guilty)), np.unique(np.concatenate(leaked))


@dataclass(frozen=True)
class _KeyPart:
    """One of several parts of all runs, by their keys."""

    number: int
    parts: int

    def of(self, keys: "Array") -> "Array":
        return keys if self.parts == 1 else keys[keys % self.parts == self.number]


def _distinct_runs(side: SplitSide) -> "Iterator[tuple[Array, Array]]":
    """Gives the runs of rows whose text no earlier row has, some at a time: place of the row, and key."""
    first = side.distinct_mask()
    for places, keys in side.traces.runs():
        chosen = first[places]
        yield places[chosen], keys[chosen]


def _hits(side: SplitSide, keys: "Array", part: _KeyPart) -> "Iterator[tuple[Array, Array]]":
    """Gives where a row holds a run of `keys`, which is sorted: place of the row, and place in `keys`; once a row."""
    for places, own in _distinct_runs(side):
        which = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
        found = (keys[which] == own) & (own % part.parts == part.number)
        if found.any():
            pairs = np.unique(np.stack([places[found], which[found]]), axis=1)
            yield pairs[0], pairs[1]


def _join(sketches: "Sketches", bucket: "Array", groups: "_Groups") -> None:
    """Joins all near duplicates in a bucket: starts at each text in turn and continues with whatever is alike."""
    every = sketches[bucket]
    left = np.arange(len(bucket))
    while len(left) > 1:
        waiting, left = [left[0]], left[1:]
        while waiting and len(left):
            one = waiting.pop()
            near = alike(every[one], every[left])
            for other in left[near]:
                groups.join(int(bucket[one]), int(bucket[other]))
            waiting += list(left[near])
            left = left[~near]


@dataclass(frozen=True)
class _Chosen:
    """The sketches of some rows."""

    traces: Traces
    places: "Array"

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, numbers: "Array") -> "Array":
        return self.traces.sketches(self.places[numbers])


@dataclass(frozen=True)
class _Joined:
    """The sketches of one side, then those of the other."""

    one: _Chosen
    other: _Chosen

    def __len__(self) -> int:
        return len(self.one) + len(self.other)

    def __getitem__(self, numbers: "Array") -> "Array":
        first = numbers < len(self.one)
        found = np.empty((len(numbers), 128), dtype=np.uint32)
        if first.any():
            found[first] = self.one[numbers[first]]
        if not first.all():
            found[~first] = self.other[numbers[~first] - len(self.one)]
        return found


class _Groups:
    """Disjoint sets of numbers, each known by its lowest."""

    def __init__(self, size: int) -> None:
        self._parents = array("i" if size < 2**31 else "q", range(size))

    def first(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parents[high] = low

    def later(self) -> "Array":
        """Returns the numbers that are not the lowest of their set."""
        parents = np.frombuffer(self._parents, dtype=self._parents.typecode)
        return np.flatnonzero(parents != np.arange(len(parents), dtype=parents.dtype))
