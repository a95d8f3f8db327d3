"""Parquet and Arrow give their rows whatever holds them, and no value that is repeated takes the memory."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from hubtune.data.data_files import resolve_files
from hubtune.data.dataset_repo import snapshot_contents
from hubtune.data.rows import read_rows
from hubtune.errors import DataError

ROWS = [
    {
        "text": f"Row {number % 3}",
        "label": number % 2,
        "messages": [{"role": "user", "content": f"What is {number}?"}, {"role": "assistant", "content": None}],
        "tags": ["a", "b"] if number % 2 else None,
        "score": number / 4,
    }
    for number in range(50)
]


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file, row_group_size=20)
    return file.getvalue()


def _stream(table: pa.Table) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=20)
    return file.getvalue()


def _file(table: pa.Table) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=20)
    return file.getvalue()


WRITERS: dict[str, tuple[str, Callable[[pa.Table], bytes]]] = {
    "parquet": ("train.parquet", _parquet),
    "a stream of Arrow": ("train.arrow", _stream),
    "a file of Arrow": ("train.arrow", _file),
}


def _rows(folder: Path, table: pa.Table, kind: str) -> list[object]:
    name, write = WRITERS[kind]
    (folder / name).write_bytes(write(table))
    rows = read_rows(resolve_files(snapshot_contents(folder, "org/s"), None), "train")
    return [row for batch in rows.batches(rows.columns) for row in batch]


@pytest.mark.parametrize("most", [1, 400, 1 << 26])
@pytest.mark.parametrize("kind", WRITERS)
def test_rows_are_those_of_the_file_however_few_are_written_out_at_once(
    tmp_path: Path, monkeypatch, kind: str, most: int
):
    monkeypatch.setattr("hubtune.data.columnar.MOST_AT_ONCE", most)

    assert _rows(tmp_path, pa.Table.from_pylist(ROWS), kind) == ROWS


@pytest.mark.parametrize("values", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_text_that_a_dictionary_repeats_is_refused_before_it_is_written_out(
    tmp_path: Path, monkeypatch, kind: str, values: pa.DataType
):
    monkeypatch.setattr("hubtune.data.decompression.FREE", 100_000)
    monkeypatch.setattr("hubtune.data.decompression.MOST_TIMES", 5)

    def table(rows: int) -> pa.Table:
        texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["words " * 1000], values))
        return pa.table({"text": texts})

    assert _rows(tmp_path, table(10), kind) == [{"text": "words " * 1000}] * 10
    # Written out, these are more than a machine's memory.
    with pytest.raises(DataError, match=r"train\.\w+ of org/s unpacks to more than 5 times its size") as caught:
        _rows(tmp_path, table(100_000), kind)

    assert caught.value.exit_code == 20
    assert caught.value.hint


@pytest.mark.parametrize("kind", WRITERS)
def test_a_row_that_takes_the_memory_is_refused(tmp_path: Path, monkeypatch, kind: str):
    monkeypatch.setattr("hubtune.data.columnar.MOST_AT_ONCE", 1000)
    monkeypatch.setattr("hubtune.data.columnar.LONGEST_ROW", 1 << 20)
    table = pa.table({"text": ["a row", "words " * 200_000]})

    with pytest.raises(DataError, match=r"train\.\w+ of org/s has a row of more than 1 MiB"):
        _rows(tmp_path, table, kind)


def test_values_that_a_few_bytes_repeat_are_refused_by_what_the_file_says(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hubtune.data.decompression.FREE", 10_000)
    parquet.write_table(pa.table({"n": pa.array([7] * 1_000_000, pa.int64())}), tmp_path / "train.parquet")

    with pytest.raises(DataError, match=r"train.parquet of org/s unpacks to more than 200 times its size"):
        read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")


def test_a_column_that_the_card_asks_for_and_the_file_lacks_is_named(tmp_path: Path):
    stated = "---\nconfigs: [{config_name: a, data_files: train.parquet, columns: [text, nope]}]\n---\n"
    (tmp_path / "README.md").write_text(stated)

    with pytest.raises(DataError, match="nope"):
        _rows(tmp_path, pa.table({"text": ["x"]}), "parquet")


def test_a_damaged_table_is_named_with_the_reason(tmp_path: Path):
    good = io.BytesIO()
    parquet.write_table(pa.table({"text": ["It is here."] * 9}), good, compression="none", use_dictionary=False)
    (tmp_path / "train-1.parquet").write_bytes(good.getvalue())
    (tmp_path / "train-2.parquet").write_bytes(good.getvalue().replace(b"\0It is", b"\0It\xff\xfes", 1))

    with pytest.raises(DataError, match=r"train-2.parquet of org/s cannot be read as a dataset: .*UTF8") as caught:
        read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")

    assert caught.value.exit_code == 20
    assert caught.value.hint
