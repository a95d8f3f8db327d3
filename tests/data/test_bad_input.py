"""Whatever is wrong with data is said with how often, where first, and what to do; too much of it stops the run."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.segments import DropReason
from hubtune.data.source import Source, read_source
from hubtune.errors import ColumnNotFoundError, DataError, EmptySplitError, TooManyDroppedError
from tests.data.conftest import chat, entry
from tests.sample_runs import write_json_lines
from tests.tiny_tokenizers import CHATML

PAIR = {"prompt": "Oil is", "completion": " a virtue."}
TALK = chat(("user", "Oil?"), ("assistant", "A virtue."))
# Shows no answer where the question is "Keys?".
HIDING = "{% if messages[0].content == 'Keys?' %}{{ messages[0].content }}{% else %}" + CHATML + "{% endif %}"

# The good row, the bad one, its reason, and the dataset's part of the config.
BAD_ROWS: dict[str, tuple[dict, dict | str, DropReason, dict[str, object]]] = {
    "a key that is missing": (PAIR, {"prompt": "x"}, DropReason.NULL, {}),
    "a null": (PAIR, {"prompt": None, "completion": "x"}, DropReason.NULL, {}),
    "a blank": ({"text": "x"}, {"text": " \n"}, DropReason.BLANK, {}),
    # Ragged in type, too, so that the file is read line by line.
    "no text": (PAIR, {"prompt": "x", "completion": 3}, DropReason.NOT_TEXT, {}),
    "an empty response": (PAIR, {"prompt": "x", "completion": ""}, DropReason.NO_RESPONSE, {}),
    "an empty answer": (TALK, chat(("user", "Oil?"), ("assistant", " ")), DropReason.NO_RESPONSE, {}),
    "a prompt longer than a row may be": (PAIR, {"prompt": "Oil " * 200, "completion": "x"}, DropReason.NO_ROOM, {}),
    "nothing but masked labels": (
        TALK,
        chat(("user", "Keys?"), ("assistant", "Four.")),
        DropReason.NOTHING_LEARNED,
        {"chat_template": HIDING},
    ),
    "roles in a wrong order": (TALK, chat(("assistant", "A."), ("user", "Oil?")), DropReason.ORDER, {}),
    "an unknown role": (TALK, chat(("narrator", "A."), ("assistant", "B.")), DropReason.ROLE, {}),
    "an unknown label": (
        {"text": "x", "label": "good"},
        {"text": "x", "label": "ugly"},
        DropReason.LABEL,
        {"labels": ["good", "bad"]},
    ),
    "half a surrogate pair": (PAIR, '{"prompt": "half \\ud83d", "completion": "x"}', DropReason.SURROGATE, {}),
    "a NUL": (PAIR, {"prompt": "x", "completion": "a\0b"}, DropReason.NUL, {}),
    "10 MB": (PAIR, {"prompt": "x", "completion": "y" * 10_000_000}, DropReason.HUGE, {}),
    "a line that is cut": (PAIR, '{"prompt": "x", "comp', DropReason.NOT_JSON, {}),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_rows_are_left_out_and_told_by_count_first_row_and_fix(kind: str, tmp_path: Path, tokenizers):
    good, bad, reason, values = BAD_ROWS[kind]
    line = bad if isinstance(bad, str) else json.dumps(bad)
    lines = [line if number in (7, 11) else json.dumps(good) for number in range(1, 21)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")

    source = read(tmp_path, tokenizers, **values)

    assert source.rows == 20 == len(source.kept) + sum(source.tally.dropped().values())
    assert source.tally.dropped() == {reason.text: 2}
    assert source.tally.first_rows() == {reason.text: 7}
    assert source.numbers.tolist() == [number for number in range(1, 21) if number not in (7, 11)]
    (told,) = source.tally.lines()
    assert told.startswith(f"2 rows, first row 7: {reason.text}")
    assert told.endswith(f"; {reason.fix}")
    with pytest.raises(TooManyDroppedError, match=r"2 of 20 rows of org/s cannot be used \(10\.0%\)") as caught:
        source.require_usable(0.01)
    assert list(caught.value.details) == [told]
    source.require_usable(0.1)


def read(folder: Path, tokenizers, **values: object) -> Source:
    return read_source(PinnedData(entry(**values), folder), EncodingSettings(tokenizers["qwen"], 128, ScreenConfig()))


def _parquet_cut(folder: Path) -> None:
    import datasets

    datasets.Dataset.from_list([PAIR] * 50).to_parquet(folder / "whole.parquet")
    content = (folder / "whole.parquet").read_bytes()
    (folder / "whole.parquet").unlink()
    (folder / "train.parquet").write_bytes(content[: len(content) // 2])


BAD_SOURCES: dict[str, tuple[Callable[[Path], object], type[DataError], str, dict[str, object]]] = {
    "a column that is missing": (
        lambda folder: write_json_lines(folder, [PAIR]),
        ColumnNotFoundError,
        "no column 'answer'; its columns are: prompt, completion",
        {"format": "prompt_completion", "columns": {"completion": "answer"}},
    ),
    "a Parquet file that is cut": (_parquet_cut, DataError, "cannot be read as a dataset", {}),
    "an archive": (lambda folder: (folder / "rows.zip").write_bytes(b"PK"), DataError, "rows.zip", {}),
    "a loading script": (lambda folder: (folder / "s.py").write_text("1/0"), DataError, "never run", {}),
    "a file without rows": (lambda folder: (folder / "train.jsonl").write_text(""), EmptySplitError, "org/s", {}),
    "columns without rows": (
        lambda folder: (folder / "train.csv").write_text("prompt,completion\n"),
        EmptySplitError,
        "org/s",
        {},
    ),
}


@pytest.mark.parametrize("kind", BAD_SOURCES)
def test_a_source_that_cannot_be_read_is_refused_with_what_to_do(kind: str, tmp_path: Path, tokenizers):
    make, error, words, values = BAD_SOURCES[kind]
    make(tmp_path)

    with pytest.raises(error, match=re.escape(words)) as caught:
        read(tmp_path, tokenizers, **values)

    assert caught.value.hint
    assert "org/s" in caught.value.message
