"""Tokenizers of four kinds, and rows of every format as examples."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hubtune.config.data import DataConfig
from hubtune.data.formats.chat import ChatWriter
from hubtune.data.formats.conversations import read_conversation
from hubtune.data.formats.row_format import choose_format, write_text
from hubtune.data.segments import DroppedRowError, WrittenRow
from hubtune.data.tokenization import IGNORED, Encoder, Example
from tests.tiny_tokenizers import KINDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def tokenizers() -> "dict[str, PreTrainedTokenizerFast]":
    """A tokenizer of each kind; for reading only."""
    return {kind: make() for kind, make in KINDS.items()}


@pytest.fixture(params=list(KINDS))
def each(request: pytest.FixtureRequest, tokenizers) -> "PreTrainedTokenizerFast":
    """The tokenizer of each kind in turn."""
    return tokenizers[request.param]


def entry(**values: object) -> DataConfig:
    """A dataset's part of a config."""
    return DataConfig.model_validate({"repo": "org/s", **values})


def written(row: dict[str, object], tokenizer: "PreTrainedTokenizerFast", **values: object) -> WrittenRow:
    """A row in the format that `values` or its keys state, as segments."""
    config = entry(**values)
    chosen = choose_format(config, list(row), "org/s")
    if chosen.kind == "chat":
        writer = ChatWriter.make(tokenizer, config.chat_template, chosen.loss_on, "org/base")
        (found,) = writer.write_all([read_conversation(row, chosen.columns)])
        if isinstance(found, DroppedRowError):
            raise found
        return found
    return write_text(row, chosen)


@pytest.fixture
def encoded() -> Callable[..., Example]:
    """Encodes one row; it has to give an example."""

    def encode(row: dict[str, object], tokenizer, length: int = 500, **values: object) -> Example:
        (example,) = Encoder(tokenizer, length, entry(**values).chat_template).encode(
            [written(row, tokenizer, **values)]
        )
        assert isinstance(example, Example), example.reason
        return example

    return encode


@pytest.fixture
def refused() -> Callable[..., DroppedRowError]:
    """Encodes one row; it has to be refused."""

    def encode(row: dict[str, object], tokenizer, length: int = 500, **values: object) -> DroppedRowError:
        try:
            (fault,) = Encoder(tokenizer, length, entry(**values).chat_template).encode(
                [written(row, tokenizer, **values)]
            )
        except DroppedRowError as error:
            return error
        assert isinstance(fault, DroppedRowError), fault
        return fault

    return encode


def learnt(example: Example, tokenizer: "PreTrainedTokenizerFast") -> str:
    """The text of the tokens that carry loss."""
    return tokenizer.decode([label for label in example.labels if label != IGNORED])


def chat(*turns: tuple[str, str], **more: object) -> dict[str, object]:
    """A row that holds a conversation."""
    return {"messages": [{"role": role, "content": content} for role, content in turns], **more}
