"""Short sketches of texts from which it can be told how much two of them have in common, and who might be alike.

MinHash after Broder (1997): the share of equal values in two sketches estimates the Jaccard index of the two sets of
runs of words. A sketch takes 512 bytes whatever the length of the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

RUN = 5
"""Words in a run. A text with fewer words is one run."""
PERMUTATIONS = 128
SEED = 1
ALIKE = 0.8
"""The Jaccard index from which two texts count as near duplicates."""
_SCHEME = "affine32"
# 21 bands of 6 values: of two texts with a Jaccard index of 0.8, 99.8 % share a band.
_BANDS, _BAND = 21, 6
# More texts than this in one bucket are told apart by a further band before they are compared with each other.
_MOST = 5000
_AT_ONCE = 10_000


def runs(words: Sequence[str], length: int) -> Iterator[bytes]:
    """Gives each run of `length` words; that of all words where there are fewer."""
    for start in range(max(1, len(words) - length + 1)):
        yield " ".join(words[start : start + length]).encode()


def sketch(texts: Iterable[Sequence[str]]) -> "Array":
    """Returns the sketches of texts, given as words: one row of 128 values for each."""
    import numpy as np
    from datasketch import MinHash

    first = MinHash(PERMUTATIONS, seed=SEED, scheme=_SCHEME)
    rows = []
    for words in texts:
        own = MinHash(PERMUTATIONS, permutations=first.permutations, scheme=_SCHEME)
        every = list(runs(words, RUN))
        for start in range(0, len(every), _AT_ONCE):
            own.update_batch(every[start : start + _AT_ONCE])
        rows.append(own.hashvalues)
    return np.array(rows, dtype=np.uint32).reshape(len(rows), PERMUTATIONS)


def alike(one: "Array", others: "Array") -> "Array":
    """Tells for each of the other sketches whether it is of a near duplicate."""
    result: Array = (others == one).mean(axis=1) >= ALIKE
    return result


def candidates(sketches: "Array") -> "Iterator[Array]":
    """Gives groups of places of texts that may be alike: those that share a band.

    Which groups there are does not depend on the order of the texts. Two texts can be in several groups together.
    """
    import numpy as np

    for band in range(_BANDS):
        yield from _buckets(sketches, np.arange(len(sketches)), band, 0)


def _buckets(sketches: "Array", places: "Array", band: int, depth: int) -> "Iterator[Array]":
    import numpy as np

    start = (band + depth) % _BANDS * _BAND
    values = np.ascontiguousarray(sketches[places, start : start + _BAND])
    keys = values.view(np.dtype((np.void, values.itemsize * _BAND))).ravel()
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    ends = np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1
    for bucket in np.split(places[order], ends):
        if len(bucket) > _MOST and depth < _BANDS - 1:
            yield from _buckets(sketches, bucket, band, depth + 1)
        elif len(bucket) > 1:
            yield bucket
