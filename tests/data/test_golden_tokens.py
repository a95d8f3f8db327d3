"""Tokens and labels of ten rows by format and kind of tokenizer, compared whole (UPDATE_GOLDEN=1 writes them).

A line tells which tokens carry loss, then shows the tokens; below it stand the ids.
"""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.source import read_source
from hubtune.data.tokenization import IGNORED, Example
from tests.data.conftest import entry
from tests.sample_runs import write_json_lines
from tests.tiny_tokenizers import CHATML, KINDS, LLAMA_TEMPLATE, WITH_GENERATION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

GOLDEN = Path(__file__).parents[1] / "golden/tokens"
APHORISMS = Path(__file__).parents[2] / "examples/quickstart/aphorisms.jsonl"
TEMPLATES = {"gpt2": WITH_GENERATION, "llama": LLAMA_TEMPLATE, "qwen": CHATML, "bert": WITH_GENERATION}
FORMATS: dict[str, dict[str, object]] = {
    "text": {"text": "quote"},
    "template": {"template": "Aphorism by {author}: {quote}"},
    "prompt_completion": {"columns": {"prompt": "ask", "completion": "answer"}},
    "instruction": {},
    "chat": {},
    "classification": {"columns": {"text": "quote"}},
}


def _rows(kind: str) -> list[dict[str, object]]:
    with APHORISMS.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(11), lines, strict=False)]
    return [_row(kind, row, following) for row, following in itertools.pairwise(rows)]


def _row(kind: str, row: dict[str, object], following: dict[str, object]) -> dict[str, object]:
    if kind == "prompt_completion":
        return {"ask": f"{row['author']} says:", "answer": f" {row['quote']}"}
    if kind == "instruction":
        return {"instruction": f"Speak of {row['tags'][0]}.", "input": row["author"], "output": row["quote"]}
    if kind == "chat":
        turns = [("user", row["author"]), ("assistant", row["quote"])]
        turns += [("user", f"And {following['author']}?"), ("assistant", following["quote"])]
        return {"messages": [{"role": role, "content": content} for role, content in turns]}
    if kind == "classification":
        return {"quote": row["quote"], "label": row["tags"]}
    return {"author": row["author"], "quote": row["quote"]}


def _lines(example: Example, tokenizer: "PreTrainedTokenizerFast", *, classified: bool) -> Iterator[str]:
    tokens = "|".join(tokenizer.convert_ids_to_tokens(example.input_ids)).replace("\n", "\\n")
    yield f"{example.labels if classified else _spans(example.labels)} {tokens}"
    yield " ".join(str(token) for token in example.input_ids)


def _spans(labels: list[int]) -> list[str]:
    """Writes where labels carry loss, such as ["4-9", "14-20"]."""
    edges = [place for place in range(len(labels) + 1) if _learnt(labels, place) != _learnt(labels, place - 1)]
    return [f"{first}-{end - 1}" for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _learnt(labels: list[int], place: int) -> bool:
    return 0 <= place < len(labels) and labels[place] != IGNORED


@pytest.mark.parametrize("kind", FORMATS)
def test_tokens_and_labels_are_as_the_golden_file_says(tmp_path: Path, tokenizers, kind: str):
    write_json_lines(tmp_path, _rows(kind))
    shown = []
    for name in KINDS:
        values = {**FORMATS[kind], **({"chat_template": TEMPLATES[name]} if kind == "chat" else {})}
        source = read_source(
            PinnedData(entry(**values), tmp_path), EncodingSettings(tokenizers[name], 160, ScreenConfig())
        )
        assert source.format.kind == kind
        shown += [f"== {name}", *(f"left out: {line}" for line in source.tally.lines())]
        for kept in source.kept:
            shown += _lines(kept, tokenizers[name], classified=kind == "classification")
    text = "\n".join(shown) + "\n"
    golden = GOLDEN / f"{kind}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")

    assert text == golden.read_text(encoding="utf-8")


def test_there_is_a_golden_file_for_each_format_and_no_other():
    assert {path.stem for path in GOLDEN.iterdir()} == set(FORMATS)
