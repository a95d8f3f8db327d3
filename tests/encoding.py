"""Examples made of plain texts, for tests that need tokens and no dataset."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubtune.data.segments import Segment, WrittenRow
from hubtune.data.tokenization import Encoder, Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> list[Example]:
    """Encodes texts that are learned whole; each has to give an example."""
    rows = [WrittenRow((Segment(text, response=True),), learn_all=True) for text in texts]
    examples = Encoder(tokenizer, max_length).encode(rows)
    assert all(isinstance(example, Example) for example in examples)
    return examples
