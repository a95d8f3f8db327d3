"""Held-out rows cut in two: what a model is given to go on from, and what the row says there."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.data.tokens import IGNORED, Example
from hubtune.models.generation import plain_text, text_after

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HALVED = "the first half of each row's tokens is given"
ASKED = "each row's prompt is given"


@dataclass(frozen=True)
class BegunRow:
    """One row to go on from.

    Attributes:
        prompt: Token ids, at least one, with room for what is written in the context.
        text: What the prompt says.
        reference: What the row says after it.
        asked: Whether the row has a prompt of its own; else it was halved.
        cut: Whether the front of the prompt was left out, so that it fits the context.
        tokens: How many tokens the row has after the prompt, the one that ends it included.
    """

    prompt: list[int]
    text: str
    reference: str
    asked: bool
    cut: bool
    tokens: int


@dataclass(frozen=True)
class Begun:
    """The rows to go on from.

    Attributes:
        unusable: How many rows have nothing to go on from, or nothing after it, and were left out.
    """

    rows: list[BegunRow]
    unusable: int

    @property
    def asked(self) -> bool:
        """Whether there are rows, and each has a prompt of its own."""
        return bool(self.rows) and all(row.asked for row in self.rows)

    @property
    def given(self) -> str:
        """What the models go on from, in words."""
        ways = [words for words, asked in ((ASKED, True), (HALVED, False)) if asked in {row.asked for row in self.rows}]
        cut = sum(row.cut for row in self.rows)
        counts = [("prompts cut at their front to fit the context", cut), ("rows left out as too short", self.unusable)]
        return "; ".join([" or ".join(ways), *(f"{what}: {count:,}" for what, count in counts if count)])


def begin(
    held_out: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    context: int | None,
    max_new_tokens: int,
    most: int,
    seed: int,
) -> Begun:
    """Cuts rows in two: before the first response, or where a row is all response, in its middle.

    Args:
        held_out: The rows.
        tokenizer: The model's.
        context: The most tokens that the models can read; None where there is no limit.
        max_new_tokens: What a prompt has to leave room for.
        most: The most rows; of more a sample is drawn, and kept in the rows' order.
        seed: Of the sample.
    """
    numbers = list(range(len(held_out)))
    if len(held_out) > most:
        numbers = sorted(random.Random(seed).sample(numbers, most))  # noqa: S311 - no secret
    room = None if context is None else max(1, context - max_new_tokens)
    rows = [_begun(held_out[number], tokenizer, room) for number in numbers]
    return Begun([row for row in rows if row is not None], rows.count(None))


def prompt_end(row: Example) -> tuple[int, bool]:
    """Returns how many of a row's tokens are its prompt, and whether it has one of its own; else it is halved.

    What stands before the first token that carries loss is the prompt, but a BOS alone is none.
    """
    first = next((place for place, label in enumerate(row.labels) if label != IGNORED), len(row.labels))
    return (first, True) if first > 1 else (len(row.input_ids) // 2, False)


def _begun(example: Example, tokenizer: "PreTrainedTokenizerBase", room: int | None) -> BegunRow | None:
    ids, labels = example.input_ids, example.labels
    start, asked = prompt_end(example)
    end = len(ids)
    if asked:
        end = next((place for place in range(start, len(ids)) if labels[place] == IGNORED), len(ids))
    prompt = ids[:start]
    reference = text_after(tokenizer, prompt, ids[start:end])
    if not prompt or not reference.strip():
        return None
    kept = prompt if room is None else prompt[-room:]
    return BegunRow(kept, plain_text(tokenizer, kept), reference, asked, len(kept) < len(prompt), end - start)
