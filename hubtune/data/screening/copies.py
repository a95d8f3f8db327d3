"""Finds rows that repeat others: duplicates and near duplicates on one side of the split, contamination across it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.data.screening.sketches import alike, candidates, runs, sketch
from hubtune.data.split import fold

if TYPE_CHECKING:
    from hubtune.data.screening.sketches import Array

LONG_RUN = 13
"""Words that two rows have to have in common, one after the other, to count as contamination (Brown et al., 2020)."""
BOILERPLATE = 10
"""A run in more rows to train on than this is a phrase of the data set, not a copy (Brown et al., 2020, appendix C)."""


@dataclass(frozen=True)
class Copies:
    """Rows of one side of the split that repeat an earlier row of it, by their places.

    Attributes:
        duplicates: Those with the text of an earlier row, but for case, punctuation and spacing.
        near_duplicates: Others that belong to the near duplicates of an earlier row, at once or by way of a third.
    """

    duplicates: list[int]
    near_duplicates: list[int]


@dataclass(frozen=True)
class Contamination:
    """Rows of the two sides of the split that share a text, a long run of words, or most of their short runs.

    Attributes:
        train: Places of the rows to train on.
        held_out: Places of the held-out rows.
    """

    train: list[int]
    held_out: list[int]


class Side:
    """The rows of one side of the split, reduced to what it takes to find copies.

    Of each distinct text it keeps 536 bytes and, while it is made, the words of a few rows at a time.

    Args:
        texts: The rows' own words, without what a template adds to each.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.first: dict[bytes, int] = {}
        self.texts = texts
        self.digests = [hashlib.sha256(" ".join(words(text)).encode()).digest()[:16] for text in texts]
        for place, digest in enumerate(self.digests):
            self.first.setdefault(digest, place)
        self.distinct = list(self.first.values())
        self.sketches = sketch(words(texts[place]) for place in self.distinct)

    def copies(self) -> Copies:
        """Finds the rows that repeat an earlier row."""
        groups = _Groups(len(self.distinct))
        for bucket in candidates(self.sketches):
            _join(self.sketches, bucket, groups)
        return Copies(
            duplicates=[place for place, digest in enumerate(self.digests) if self.first[digest] != place],
            near_duplicates=[place for number, place in enumerate(self.distinct) if groups.first(number) != number],
        )


def words(text: str) -> list[str]:
    """Returns the words of a text in lower case; two spellings of the same words are one duplicate."""
    return fold(text).split()


def contamination(train: Side, held_out: Side) -> Contamination:
    """Finds the rows that make a measure on the held-out rows look better than the model is."""
    guilty = train.first.keys() & held_out.first.keys()
    leaked = set(guilty)
    for train_digest, held_digest in _alike_across(train, held_out):
        guilty.add(train_digest)
        leaked.add(held_digest)
    long_train, long_held = _long_runs(train, held_out)
    guilty |= long_train
    leaked |= long_held
    return Contamination(
        train=[place for place, digest in enumerate(train.digests) if digest in guilty],
        held_out=[place for place, digest in enumerate(held_out.digests) if digest in leaked],
    )


def _alike_across(train: Side, held_out: Side) -> set[tuple[bytes, bytes]]:
    import numpy as np

    border = len(train.distinct)
    sketches = np.concatenate([train.sketches, held_out.sketches])
    found = set()
    for bucket in candidates(sketches):
        left, right = bucket[bucket < border], bucket[bucket >= border]
        if not len(left) or not len(right):
            continue
        for one in right:
            digest = held_out.digests[held_out.distinct[one - border]]
            for other in left[alike(sketches[one], sketches[left])]:
                found.add((train.digests[train.distinct[other]], digest))
    return found


def _long_runs(train: Side, held_out: Side) -> tuple[set[bytes], set[bytes]]:
    """Returns the digests of rows on either side that share a run of 13 words, phrases of the data set left out."""
    owners: dict[bytes, set[bytes]] = {}
    for place in held_out.distinct:
        for run in _digests_of_runs(held_out.texts[place]):
            owners.setdefault(run, set()).add(held_out.digests[place])
    shared = {
        train.digests[place]: {run for run in _digests_of_runs(train.texts[place]) if run in owners}
        for place in train.distinct
    }
    shared = {digest: found for digest, found in shared.items() if found}
    counts = Counter(run for found in shared.values() for run in found)
    copied = {run for run, count in counts.items() if count <= BOILERPLATE}
    guilty = {digest for digest, found in shared.items() if found & copied}
    return guilty, {digest for run in copied for digest in owners[run]}


def _digests_of_runs(text: str) -> list[bytes]:
    every = words(text)
    if len(every) < LONG_RUN:
        return []
    return [hashlib.blake2b(run, digest_size=8).digest() for run in runs(every, LONG_RUN)]


def _join(sketches: "Array", bucket: "Array", groups: "_Groups") -> None:
    """Joins all near duplicates in a bucket: starts at each text in turn and goes on from whatever is alike."""
    left = bucket
    while len(left) > 1:
        waiting, left = [left[0]], left[1:]
        while waiting and len(left):
            one = waiting.pop()
            near = alike(sketches[one], sketches[left])
            for other in left[near]:
                groups.join(int(one), int(other))
            waiting += list(left[near])
            left = left[~near]


class _Groups:
    """Disjoint sets of numbers, each known by its lowest."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def first(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parents[high] = low
