"""Rows that are streamed are the rows that would have been fetched, and only the pinned commit is asked for."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import re

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.segments import DropReason
from hubtune.data.source import Source, read_source
from hubtune.errors import DataError, EmptySplitError, HubError, HubtuneError, SplitNotFoundError
from hubtune.hub.repo_files import CheckedFile, StoredFile
from hubtune.hub.snapshot import cached, download_size, fetch
from hubtune.records.base import Pin
from tests.data.conftest import entry
from tests.listener import Listener

ROWS = [{"prompt": f"Row {number} is", "completion": f" long {number}." if number % 5 else ""} for number in range(60)]
TEST = [{"prompt": "Oil is", "completion": f" good {number}."} for number in range(4)]


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _parquet(rows: list[dict[str, object]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def _zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return pa.compress(content, "zstd", asbytes=True)


@pytest.fixture
def hub(served, monkeypatch):
    import datasets

    # `datasets` has read it from the environment when it was imported.
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", served.url)
    return served


def _pin(hub, files: dict[str, bytes]) -> Pin:
    files = {"README.md": b"---\nlanguage: en\n---\n", "LICENSE": b"MIT\n", **files}
    commit = hub.commit("org/s", files, "dataset")
    # A branch that has moved on must not matter.
    hub.commit("org/s", {"data/train.parquet": b"x", "train.jsonl": b"x", "test.jsonl": b"x"}, "dataset")
    return Pin(repo="org/s", type="dataset", requested="main", commit=commit)


def _read(pin: Pin, tokenizer, progress: Listener | None = None, **values: object) -> Source:
    place = fetch(pin, streamed=bool(values.get("streaming")))
    config = entry(**values)
    return read_source(
        PinnedData(config, place, pin), EncodingSettings(tokenizer, 60, ScreenConfig()), progress=progress
    )


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_streamed_rows_are_those_of_the_files_and_no_request_but_for_the_commit_is_made(
    hub, tokenizers, kind: str, listener: Listener
):
    files = {"train.jsonl": _lines(ROWS)} if kind == "jsonl" else {"data/train.parquet": _parquet(ROWS)}
    pin = _pin(hub, files)
    before = len(hub.requests())

    streamed = _read(pin, tokenizers["gpt2"], listener, streaming=True)

    asked = [line for line in hub.requests()[before:] if line["repo"] is not None]
    assert {line["revision"] for line in asked} == {pin.commit}
    assert any("/resolve/" in str(line["path"]) and "train" in str(line["path"]) for line in asked)
    assert not list(cached(pin, streamed=True).glob("**/*train*"))
    assert listener.steps["Reading org/s"][0] == 60

    fetched = _read(pin, tokenizers["gpt2"])
    assert streamed.kept == fetched.kept
    assert streamed.tally == fetched.tally
    (name,) = (name for name in files if "train" in name)
    assert streamed.files == fetched.files == {name: hashlib.sha256(files[name]).hexdigest()}
    assert streamed.rows == fetched.rows == 60 == len(streamed.kept) + streamed.tally.counts.total()

    before = len(hub.requests())
    again = _read(pin, tokenizers["gpt2"], streaming=True)
    assert again.kept == streamed.kept
    assert not [line for line in hub.requests()[before:] if "train" in str(line["path"])]


def test_a_part_of_a_split_and_a_split_that_is_held_out_are_streamed(hub, tokenizers, listener: Listener):
    pin = _pin(hub, {"train.jsonl": _lines(ROWS), "test.jsonl": _lines(TEST)})

    source = _read(
        pin, tokenizers["gpt2"], listener, streaming=True, split="train[51:54]+train[:2]", held_out_split="test"
    )

    texts = [example.text for example in source.kept]
    assert texts[:4] == [f"Row {number} is long {number}." for number in (51, 52, 53, 1)]
    assert texts[4:] == [f"Oil is good {number}." for number in range(4)]
    assert source.store.column("held_out").tolist() == [0] * 4 + [1] * 4
    assert source.rows == 9


@pytest.mark.parametrize("split", ["train[:10%]", "train[-5:]", "dev"])
def test_a_part_that_a_stream_cannot_know_is_refused_with_what_it_can(hub, tokenizers, split: str):
    pin = _pin(hub, {"train.jsonl": _lines(ROWS)})

    with pytest.raises(SplitNotFoundError, match=re.escape(split.partition("[")[0])) as caught:
        _read(pin, tokenizers["gpt2"], streaming=True, split=split)

    assert "data[].split" in str(caught.value.hint) or "train[:100000]" in str(caught.value.hint)


def test_lines_that_are_not_json_are_lost_alone_in_a_stream_too(hub, tokenizers):
    pin = _pin(hub, {"train.jsonl": _lines(ROWS[:30]) + b"{cut\n" + _lines(ROWS[30:])})

    streamed = _read(pin, tokenizers["gpt2"], streaming=True)

    assert streamed.tally.first[DropReason.NOT_JSON] == 31
    assert streamed.tally == _read(pin, tokenizers["gpt2"]).tally


def test_bytes_that_are_not_utf_8_stop_a_stream_with_their_place(hub, tokenizers):
    pin = _pin(hub, {"train.csv": b"prompt,completion\nOne,caf\xe9\n"})

    with pytest.raises(DataError, match=r"train.csv of org/s is not UTF-8: its byte 26 \(offset 25\), on line 2,"):
        _read(pin, tokenizers["gpt2"], streaming=True)


def test_a_part_without_rows_is_refused(hub, tokenizers):
    pin = _pin(hub, {"train.jsonl": _lines(ROWS[:30])})

    with pytest.raises(EmptySplitError):
        _read(pin, tokenizers["gpt2"], streaming=True, split="train[40:50]")


def test_a_hub_that_fails_in_the_middle_is_told_as_such(hub, tokenizers):
    pin = _pin(hub, {"train.jsonl": _lines(ROWS)})
    place = fetch(pin, streamed=True)
    gone = pin.model_copy(update={"commit": "1" * 40})

    with pytest.raises(HubtuneError):
        read_source(
            PinnedData(entry(streaming=True), place, gone), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig())
        )


def test_of_a_streamed_data_set_only_the_card_and_the_legal_files_are_counted_as_a_download():
    files = {"README.md": 1, "LICENSE": 20, "train.jsonl": 300}

    assert download_size("dataset", files, streamed=True) == 21
    assert download_size("dataset", files) == 321


def _arrow(rows: list[dict[str, object]]) -> bytes:
    import pyarrow as pa

    table, file = pa.Table.from_pylist(rows), io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


OTHER_BYTES = {
    "train.csv.gz": lambda word: gzip.compress(f"text\nIt is {word} here.\n".encode(), 0, mtime=0),
    "train.parquet": lambda word: _parquet([{"text": f"It is {word} {number}."} for number in range(50)]),
    "train.arrow": lambda word: _arrow([{"text": f"It is {word} {number}."} for number in range(50)]),
}


def _served_otherwise(hub, name: str) -> Pin:
    """Returns the pin of a dataset for whose file the Hub serves other bytes of the same length."""
    good, bad = (OTHER_BYTES[name](word) for word in ("good", "evil"))
    assert len(good) == len(bad)
    pin = _pin(hub, {name: good})
    (stored,) = (hub.root / "objects").rglob(hashlib.sha256(good).hexdigest())
    stored.write_bytes(bad)
    return pin


@pytest.mark.parametrize("name", OTHER_BYTES)
def test_a_stream_of_other_bytes_than_the_commit_s_is_refused_and_nothing_of_it_is_kept(hub, tokenizers, name: str):
    pin = _served_otherwise(hub, name)

    for _ in range(2):
        with pytest.raises(HubError, match=rf"{name} of org/s was damaged on its way"):
            _read(pin, tokenizers["gpt2"], streaming=True)


@pytest.mark.parametrize("name", ["train.parquet", "train.arrow"])
def test_a_large_table_that_is_streamed_is_not_compared_as_the_readme_says(hub, tokenizers, monkeypatch, name: str):
    monkeypatch.setattr("hubtune.data.columnar.MOST_CHECKED", 100)

    read = _read(_served_otherwise(hub, name), tokenizers["gpt2"], streaming=True)

    assert read.kept[0].text == "It is evil 0."


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("served", [b"It is evil.", b"It is good", b"It is good. ", b""])
def test_bytes_are_compared_with_the_digest_that_the_commit_has(large: bool, served: bytes):
    content = b"It is good."
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    stored = StoredFile(len(content), blob, hashlib.sha256(content).hexdigest() if large else None)

    assert CheckedFile(io.BytesIO(content), "x", stored).read() == content
    with pytest.raises(HubError, match="x was damaged"):
        CheckedFile(io.BytesIO(served), "x", stored).read()
    again = CheckedFile(io.BytesIO(content), "x", stored)
    assert again.read(4) == content[:4]
    again.seek(0)
    assert again.read() == content


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, _zstd, bytes])
def test_compressed_files_are_streamed(hub, tokenizers, pack):
    pin = _pin(hub, {"train.jsonl.gz": pack(_lines(ROWS))})

    assert _read(pin, tokenizers["gpt2"], streaming=True).rows == len(ROWS)
