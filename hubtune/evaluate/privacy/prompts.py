"""What models go on from when it is looked for personal data: how rows of both parts begin."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.data.tokens import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEAST = 300
"""Prompts, half of them from each part; where one has too few rows, the other gives more."""
# Fewer tokens say too little of a row.
_SHORTEST_ROW = 4


@dataclass(frozen=True)
class Prompt:
    """The first half of a row's tokens.

    Attributes:
        ids: Token ids, a BOS included where the row has one.
        text: What they say.
    """

    ids: list[int]
    text: str


@dataclass(frozen=True)
class Prompts:
    """What to go on from, and from where: the first `train` of them begin training rows, the others held-out ones."""

    prompts: list[Prompt]
    train: int

    @property
    def held_out(self) -> int:
        """How many begin held-out rows."""
        return len(self.prompts) - self.train


def draw_prompts(
    train: Sequence[Example],
    held_out: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    room: int | None,
    most: int | None,
    seed: int,
) -> Prompts:
    """Draws beginnings of rows.

    Args:
        train: The rows to train on; only those that are drawn are read.
        held_out: The held-out ones.
        tokenizer: The model's.
        room: The most tokens of a prompt; a longer one is cut at its front. None where there is no limit.
        most: The most prompts that the config lets be used; None where it sets no limit.
        seed: Of the drawing.
    """
    wanted = LEAST if most is None else min(LEAST, most)
    half = wanted // 2
    from_held_out = min(len(held_out), max(half, wanted - len(train)))
    parts = [
        [_prompt(rows[number], tokenizer, room) for number in _numbers(len(rows), count, seed)]
        for rows, count in ((train, wanted - from_held_out), (held_out, from_held_out))
    ]
    begun, held = ([prompt for prompt in part if prompt is not None] for part in parts)
    return Prompts([*begun, *held], len(begun))


def _numbers(rows: int, count: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(rows), min(rows, count))  # noqa: S311 - no secret


def _prompt(example: Example, tokenizer: "PreTrainedTokenizerBase", room: int | None) -> Prompt | None:
    if len(example.input_ids) < _SHORTEST_ROW:
        return None
    ids = example.input_ids[: len(example.input_ids) // 2]
    ids = ids if room is None else ids[-max(1, room) :]
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Prompt(ids, str(text))
