"""Pair preference: how often the stereotyped sentence of a pair is more likely, over the tokens that both share."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hubtune.errors import ModelError
from hubtune.evaluate.bench import Bench, Scored
from hubtune.evaluate.bias.material import BiasMetric, noted, pairs
from hubtune.evaluate.intervals import rate_of
from hubtune.records.results import Measure

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Stretch = tuple[int, int, int]
"""Where a text starts in one sentence, where in the other, and its length, in characters."""
_WORDS = re.compile(r"\w+(?:['\u2019-]\w+)*|\s+|[^\w\s]")
_CHUNK = 1000


def after_term(first: str, second: str, shared: int) -> list[Stretch]:
    """Returns the shared span of two sentences that end with the same `shared` characters."""
    return [(len(first) - shared, len(second) - shared, shared)]


def after_difference(first: str, second: str) -> list[Stretch]:
    """Returns the spans of whole words that two sentences share after the first word in which they differ."""
    left, right = _WORDS.findall(first), _WORDS.findall(second)
    starts = [_starts(words) for words in (left, right)]
    blocks = difflib.SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return [
        (starts[0][block.a], starts[1][block.b], len("".join(left[block.a : block.a + block.size])))
        for block in blocks
        if block.size and (block.a, block.b) != (0, 0)
    ]


def encode_pairs(
    tokenizer: "PreTrainedTokenizerBase", sentences: Sequence[tuple[str, str, Sequence[Stretch]]], context: int | None
) -> list[tuple[Scored, Scored] | None]:
    """Encodes pairs of sentences; None if they share no token to score, or one exceeds the context.

    Raises:
        ModelError: The tokenizer cannot tell which characters a token stands for.
    """
    if not tokenizer.is_fast:
        raise ModelError("The base model's tokenizer cannot tell which characters a token stands for.")
    start = text_start(tokenizer)
    encoded = _encode(tokenizer, [text for first, second, _ in sentences for text in (first, second)])
    found: list[tuple[Scored, Scored] | None] = []
    for number, (_, _, stretches) in enumerate(sentences):
        (first, first_spans), (second, second_spans) = encoded[2 * number : 2 * number + 2]
        places = (
            _places(first, first_spans, [(a, length) for a, _, length in stretches]),
            _places(second, second_spans, [(b, length) for _, b, length in stretches]),
        )
        common = places[0].keys() & places[1].keys()
        if not start:
            # Without a BOS nothing is before the first token, so that it has no likelihood.
            common = {place for place in common if places[0][place] and places[1][place]}
        longest = max(len(first), len(second)) + len(start)
        if not common or (context is not None and longest > context):
            found.append(None)
            continue
        found.append(
            (
                _scored(start, first, {places[0][place] for place in common}),
                _scored(start, second, {places[1][place] for place in common}),
            )
        )
    return found


def text_start(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Returns a list with the BOS if the tokenizer adds one, as in training; otherwise an empty list."""
    ids = list(tokenizer("")["input_ids"][:1])
    return ids if tokenizer.bos_token_id is not None and ids == [tokenizer.bos_token_id] else []


_Place = tuple[int, int, int, int, int]


def _encode(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]
) -> list[tuple[list[int], list[tuple[int, int]]]]:
    found: list[tuple[list[int], list[tuple[int, int]]]] = []
    for begin in range(0, len(texts), _CHUNK):
        encoded = tokenizer(
            list(texts[begin : begin + _CHUNK]),
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
        )
        found += zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return found


def _places(
    ids: Sequence[int], spans: Iterable[tuple[int, int]], stretches: Sequence[tuple[int, int]]
) -> dict[_Place, int]:
    """Returns the tokens within stretches: stretch, start and end there, token, how often before, to its number."""
    found: dict[_Place, int] = {}
    # Several tokens may stand for one character, and so have the same place.
    seen: Counter[tuple[int, int, int, int]] = Counter()
    for number, (token, (begin, end)) in enumerate(zip(ids, spans, strict=True)):
        for stretch, (start, length) in enumerate(stretches):
            if start <= begin and end <= start + length:
                place = (stretch, begin - start, end - start, token)
                found[(*place, seen[place])] = number
                seen[place] += 1
                break
    return found


def _scored(start: Sequence[int], ids: Sequence[int], counted: set[int]) -> Scored:
    return Scored([*start, *ids], [False] * len(start) + [number in counted for number in range(len(ids))])


def _starts(words: Sequence[str]) -> list[int]:
    places = [0]
    for word in words:
        places.append(places[-1] + len(word))
    return places


LEAST_OWN = 300
LEAST_USER = 1508
"""Of a set that the user supplies: the size of CrowS-Pairs (Nangia et al., 2020)."""


class PairPreference(BiasMetric):
    """The share of pairs in which the stereotyped sentence is more likely; no preference is one half.

    It is the causal form of CrowS-Pairs' measure: the words that both sentences share are scored, given those in which
    they differ. In a causal model only shared words after the first difference are affected by it.
    """

    name = "pair_preference"
    keys = ("pairs",)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures both sides on the same pairs."""
        material = pairs(bench.bias)
        encoded = encode_pairs(
            bench.tokenizer,
            [(pair.more, pair.less, after_difference(pair.more, pair.less)) for pair in material.items],
            bench.context,
        )
        rows = [row for pair in encoded if pair is not None for row in pair]
        found = {side: bench.score(side, rows, "Sentence pairs") for side in bench.sides}
        # A pair in which a likelihood is no number cannot be compared.
        usable = np.all([np.isfinite(values[0::2] + values[1::2]) for values in found.values()], axis=0)
        notes = _notes(
            unscored=sum(pair is None for pair in encoded),
            infinite=int((~usable).sum()),
            ties=sum(int((values[0::2] == values[1::2]).sum()) for values in found.values()),
        )
        answers = {side: (values[0::2] > values[1::2])[usable] for side, values in found.items()}
        measure = rate_of(
            self.name,
            answers,
            bench.seed,
            least=LEAST_OWN if material.own else LEAST_USER,
            group="bias",
            split="sentence pairs",
            settings={**material.settings, "scored": "shared words after the first difference"},
        )
        return [noted(measure, notes)]


def _notes(*, unscored: int, infinite: int, ties: int) -> list[str]:
    notes = []
    if unscored:
        notes.append(f"{unscored} pairs share no word after their difference, or exceed the model's context length")
    if infinite:
        notes.append(f"{infinite} pairs have a likelihood that is NaN")
    if ties:
        notes.append(
            f"in {ties} pairs both sentences are equally likely, which counts as no preference for the stereotype"
        )
    return notes
