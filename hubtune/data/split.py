"""Random draws: the held-out rows by a hash of each row's text or group, and everything else that a seed decides.

Equal rows (ignoring case, punctuation and spacing) are on the same side, and rows that are added later do not move
others. If groups or a split of the dataset decide instead, duplicates of held-out rows can be among the training rows.
They are found and dropped, so training never sees them.
"""

import hashlib
import random
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

PLACES = 2**48
"""The draws of rows are below this number."""
_AT_ONCE = 10_000
METHOD = "sha256 of the seed and the row's text, without case, punctuation and spacing"
GROUP_METHOD = "sha256 of the seed and the group's value, without case, punctuation and spacing"
GIVEN_METHOD = "the dataset's own split"


class _Spacing(dict[int, str]):
    """What each character becomes, found out once for each: a space in place of punctuation, spacing and controls."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = " " if unicodedata.category(character)[0] in "PZC" else character
        return self[code]


_SPACING = _Spacing()


def seeded(seed: int | str) -> random.Random:
    """Returns draws that follow from a seed, the same on every machine."""
    return random.Random(seed)  # noqa: S311 - who knows the seed of a run is to draw the same


def fold(text: str) -> str:
    """Returns the text in lower case with punctuation and spacing reduced to single spaces.

    That is what two duplicates have in common. Letters, marks, digits and symbols of every script stay.
    """
    return " ".join(_normal(text).translate(_SPACING).split())


def _normal(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def text_digest(folded: str) -> bytes:
    """Returns 16 bytes that a folded text has in common with its copies alone."""
    return hashlib.sha256(folded.encode()).digest()[:16]


def draw(folded: str, seed: int) -> int:
    """Returns a number from 0 to 2**48 that decides on which side a folded text or group falls."""
    digest = hashlib.sha256(f"{seed}\0{folded}".encode()).digest()
    return int.from_bytes(digest[:6])


def held_out_mask(draws: "Array", share: float) -> "Array":
    """Tells for each row whether it is held out.

    About `share` of the distinct rows are. If none would be, the one with the lowest number is, so that a small data
    set has something to be measured on; if all would be, the one with the highest is not.

    Args:
        draws: What `draw` gives for each row, shape (rows,).
        share: From 0 to 1.
    """
    if len(draws) == 0 or draws.min() == draws.max():
        return np.zeros(len(draws), dtype=bool)
    lowest, highest = int(draws.min()), int(draws.max())
    result: Array = draws < min(max(int(share * PLACES), lowest + 1), highest)
    return result


def copies_of_held_out(digests: "Array", mask: "Array") -> "Array":
    """Tells for each row whether it is on the side of the training although the same text is held out.

    Args:
        digests: Of the rows' folded texts, shape (rows,).
        mask: Which rows are held out.
    """
    result = ~mask
    result &= among(digests, np.sort(digests[mask]))
    return result


def among(values: "Array", known: "Array") -> "Array":
    """Tells for each value whether it is one of `known`, which goes up; takes no memory besides the answer."""
    result = np.zeros(len(values), dtype=bool)
    for start in range(0, len(values) if len(known) else 0, _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        places = np.minimum(np.searchsorted(known, some), len(known) - 1)
        result[start : start + _AT_ONCE] = known[places] == some
    return result
