"""Turns texts into token ids: one BOS where the tokenizer puts one, an EOS at the end of every row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Example:
    """One row as the model sees it.

    Attributes:
        input_ids: Token ids; the last is EOS.
        labels: What each position carries loss for: the same ids, since a text is learnt whole.
        truncated: Whether the text was cut to fit the length limit. The EOS stands at the end all the same.
    """

    text: str
    input_ids: list[int]
    labels: list[int]
    truncated: bool


def encode(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> list[Example]:
    """Encodes texts.

    Special tokens that stand inside a text are encoded as text: data cannot end a sequence or open a chat turn.

    Args:
        texts: The texts, one a row.
        tokenizer: The base model's, with an EOS token.
        max_length: The most tokens of a row, BOS and EOS included.
    """
    if not texts:
        return []
    bos = _bos(tokenizer)
    room = max_length - len(bos) - 1
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    examples = []
    for text, ids in zip(texts, encoded, strict=True):
        whole = [*bos, *ids[:room], tokenizer.eos_token_id]
        examples.append(Example(text, whole, list(whole), truncated=len(ids) > room))
    return examples


def _bos(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Returns the BOS id in a list if the tokenizer starts a plain text with it, else an empty list."""
    start = tokenizer("")["input_ids"][:1]
    return start if tokenizer.bos_token_id is not None and start == [tokenizer.bos_token_id] else []
