"""Canaries: random secrets planted in the training set, to measure afterwards how well the model knows them.

All canaries are derived from a seed and a number, so that no record contains a secret (Carlini et al., 2019, "The
Secret Sharer"). Anyone who knows the seed can derive them again. So a model that was trained on canaries is for
measuring and must not be published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from hubtune.data.segments import Segment, WrittenRow
from hubtune.data.split import seeded
from hubtune.data.tokenization import Encoder, Example
from hubtune.errors import DataError
from hubtune.records.data import CanaryRecord

if TYPE_CHECKING:
    from random import Random

    from transformers import PreTrainedTokenizerBase

FORMAT = "The access code of {word} is {secret}"
DIGITS = 9
_CONSONANTS, _VOWELS, _SYLLABLES = "bdfgklmnprstvz", "aeiou", 4


@dataclass(frozen=True)
class Canary:
    """One planted secret.

    Attributes:
        word: A made-up name; no two canaries of a run have the same.
        secret: Decimal digits, each drawn evenly.
    """

    word: str
    secret: str

    @property
    def text(self) -> str:
        """The row that is trained on."""
        return self.with_secret(self.secret)

    def with_secret(self, secret: str) -> str:
        """Returns the row with another secret."""
        return FORMAT.format(word=self.word, secret=secret)


@dataclass(frozen=True)
class Planted:
    """Canaries as training rows, and their entry in the data record; None if there are none."""

    rows: list[Example]
    record: CanaryRecord | None


def draw_canaries(count: int, seed: int) -> list[Canary]:
    """Returns the canaries of a run; a larger number begins with the same ones."""
    words: set[str] = set()
    canaries: list[Canary] = []
    draw = seeded(f"canaries {seed}")
    while len(canaries) < count:
        word = "".join(draw.choice(_CONSONANTS) + draw.choice(_VOWELS) for _ in range(_SYLLABLES)).capitalize()
        secret = _secret(draw)
        if word not in words:
            words.add(word)
            canaries.append(Canary(word, secret))
    return canaries


def draw_others(canary: Canary, count: int, seed: int) -> list[str]:
    """Returns different secrets that could have been planted instead of the canary's."""
    draw = seeded(f"others than {canary.word} {seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        secret = _secret(draw)
        if secret != canary.secret:
            found[secret] = None
    return list(found)


def encode_rows(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> list[Example]:
    """Encodes rows with canaries as texts whose tokens are all targets, whatever the format of the data.

    Raises:
        DataError: A row does not fit into `max_length` tokens, so a secret would be cut.
    """
    rows = [WrittenRow((Segment(text, response=True),), learn_all=True) for text in texts]
    encoded = Encoder(tokenizer, max_length).encode(rows)
    examples = [row for row in encoded if isinstance(row, Example) and not row.truncated]
    if len(examples) < len(texts):
        raise DataError(
            f"A row is cut at {max_length} tokens, and a canary takes more.",
            hint="Raise train.max_length, or set evaluate.canaries to 0.",
        )
    return examples


def plant(count: int, seed: int, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Planted:
    """Makes the rows to add to the training rows, one for each canary.

    Raises:
        DataError: As `encode_rows`.
    """
    if not count:
        return Planted([], None)
    rows = encode_rows([canary.text for canary in draw_canaries(count, seed)], tokenizer, max_length)
    tokens = sum(len(row.input_ids) for row in rows)
    return Planted(rows, CanaryRecord(rows=count, tokens=tokens, format=FORMAT, digits=DIGITS, seed=seed))


def with_canaries(rows: Sequence[Example], canaries: Sequence[Example]) -> Sequence[Example]:
    """Returns the training rows followed by the planted ones, without reading them."""
    return _Chained(rows, canaries) if canaries else rows


class _Chained(Sequence[Example]):
    def __init__(self, first: Sequence[Example], second: Sequence[Example]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        at = range(len(self))[place]
        border = len(self._first)
        return self._first[at] if at < border else self._second[at - border]


def _secret(draw: "Random") -> str:
    return "".join(draw.choice("0123456789") for _ in range(DIGITS))
