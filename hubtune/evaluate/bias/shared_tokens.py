"""Which tokens of two near-alike sentences are scored: those that both share after the place where they differ.

The rule goes by characters, so that it is the same for every tokenizer. Each sentence is encoded whole, as the model
would read it. A token counts if its characters lie within a stretch that is the same in both sentences and follows the
first difference, and if the other sentence has the same token at the same place of that stretch. So both sums run over
the same tokens, however many tokens the differing terms take, and how likely a term itself is never counts: what
counts is how likely it makes the rest. What stands before the first difference has the same likelihood in both
sentences of a causal model, and would cancel out.

This is the idea of CrowS-Pairs (Nangia et al., 2020: the unmodified tokens, given the modified ones), read from left to
right.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.evaluate.bench import Scored

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Stretch = tuple[int, int, int]
"""Where a text starts in one sentence, where in the other, and its length, in characters."""
_WORDS = re.compile(r"\w+(?:['\u2019-]\w+)*|\s+|[^\w\s]")
_CHUNK = 1000


def after_term(first: str, second: str, shared: int) -> list[Stretch]:
    """Returns the one stretch of two sentences that end with the same `shared` characters."""
    return [(len(first) - shared, len(second) - shared, shared)]


def after_difference(first: str, second: str) -> list[Stretch]:
    """Returns the stretches of whole words that two sentences share after the first word in which they differ."""
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
    """Encodes pairs of sentences; None where they share no token to score, or one is longer than the context.

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
            # Without a BOS nothing stands before the first token, so that it has no likelihood.
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
    """Returns the BOS in a list where the tokenizer starts a text with it, as in training; else an empty list."""
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
