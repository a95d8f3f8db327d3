"""Draws the held-out rows by a hash of each row's content, or of the group that it belongs to.

Equal rows (but for case, punctuation and spacing) fall on the same side, and rows added later do not move the others.
Where groups or a split of its own decide instead, a copy of a held-out row can be left on the side of the training:
those are found, so that training never sees one.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

_PLACES = 2**48
METHOD = "sha256 of the seed and the row's text, without case, punctuation and spacing"
GROUP_METHOD = "sha256 of the seed and the group's value, without case, punctuation and spacing"
GIVEN_METHOD = "the data set's own split"


def fold(text: str) -> str:
    """Returns the text in lower case with punctuation and spacing reduced to single spaces.

    That is what two duplicates have in common. Letters, marks, digits and symbols of every script stay.
    """
    kept = (" " if unicodedata.category(character)[0] in "PZC" else character for character in _normal(text))
    return " ".join("".join(kept).split())


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def held_out_mask(texts: Sequence[str], share: float, seed: int) -> list[bool]:
    """Tells for each text whether it is held out.

    About `share` of the distinct texts are. Where none would be, the one with the lowest hash is, so that a small data
    set has something to be measured on; where all would be, the one with the highest is not.
    """
    places = [_place(fold(text), seed) for text in texts]
    distinct = sorted(set(places))
    if len(distinct) < 2:
        return [False] * len(texts)
    threshold = min(max(int(share * _PLACES), distinct[0] + 1), distinct[-1])
    return [place < threshold for place in places]


def copies_of_held_out(texts: Sequence[str], mask: Sequence[bool]) -> list[bool]:
    """Tells for each text whether it is on the side of the training although the same text is held out."""
    folded = [fold(text) for text in texts]
    held = {text for text, out in zip(folded, mask, strict=True) if out}
    return [not out and text in held for text, out in zip(folded, mask, strict=True)]


def _place(folded: str, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}\0{folded}".encode()).digest()
    return int.from_bytes(digest[:6])
