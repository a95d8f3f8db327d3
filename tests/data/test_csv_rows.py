"""A cell of CSV is the text in it, as Python's `csv` has it, and only an empty cell is null."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.config.data import DataConfig, ScreenConfig
from hubtune.data.csv_rows import CsvForm
from hubtune.data.data_files import PinnedData, local_files, resolve_files
from hubtune.data.dataset_repo import file_contents, snapshot_contents
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.rows import Rows, read_rows
from hubtune.data.segments import DropReason, UnreadableRow
from hubtune.data.source import Source, read_source
from hubtune.errors import DataError, TooManyDroppedError
from hubtune.hub.snapshot import fetch
from hubtune.records.base import Pin
from tests.listener import Listener
from tests.odd_tables import ODD_TABLES, OddTable


def _read(path: Path, separator: str | None = None, encoding: str | None = None) -> Rows:
    files = local_files(path, file_contents(path, path.name))
    return read_rows(replace(files, separator=separator, encoding=encoding), "train")


def _cells(rows: Rows) -> list[object]:
    return [row for batch in rows.batches(rows.columns) for row in batch]


def _write(folder: Path, content: bytes | str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("case", ODD_TABLES)
def test_cells_are_those_of_the_csv_module(tmp_path: Path, case: str):
    table = ODD_TABLES[case]
    path = _write(tmp_path, table.content, table.name)

    rows = _read(path, encoding=None if table.encoding == "utf-8" else table.encoding)

    expected = table.cells()
    assert _cells(rows) == expected
    assert rows.total == len(expected)
    assert rows.separator == table.separator
    assert list(rows.columns) == list(expected[0])


@pytest.mark.parametrize("case", ["semicolons", "words that look like null", "codes with zeros after many without"])
def test_cells_of_a_repository_are_the_same(tmp_path: Path, case: str):
    table = ODD_TABLES[case]
    _write(tmp_path, table.content, "train.csv")

    rows = read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")

    assert _cells(rows) == table.cells()


def test_streamed_cells_are_the_same_and_types_of_the_card_change_none(served, monkeypatch, tokenizers):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", served.url)
    card = b"---\ndataset_info: {features: [{name: a, dtype: int64}, {name: b, dtype: float64}]}\n---\n"
    files = {"README.md": card, "train.csv": b"a;b\n00001;1,5\nnull;NA\n;2\n", "test.csv": b"a;b\n3;nan\n"}
    commit = served.commit("org/s", files, "dataset")
    pin = Pin(repo="org/s", type="dataset", requested="main", commit=commit)
    entry = DataConfig.model_validate({"repo": "org/s", "template": "{a}|{b}", "held_out_split": "test"})

    found = {}
    for streaming in (False, True):
        chosen = entry.model_copy(update={"streaming": streaming})
        place = fetch(pin, streamed=streaming)
        found[streaming] = read_source(
            PinnedData(chosen, place, pin), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig())
        )

    assert [row.text for row in found[True].kept] == ["00001|1,5", "null|NA", "3|nan"]
    assert found[True].kept == found[False].kept
    assert found[True].tally == found[False].tally
    assert found[True].tally.dropped() == {DropReason.NULL.text: 1}
    assert found[True].separator == ";"


def test_a_card_that_counts_too_few_rows_cuts_no_stream(served, monkeypatch, tokenizers):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", served.url)
    card = b"---\ndataset_info: {splits: [{name: train, num_examples: 2}]}\n---\n"
    content = b"text\n" + b"".join(b"row %d\n" % number for number in range(9))
    commit = served.commit("org/s", {"README.md": card, "train.csv": content}, "dataset")
    pin = Pin(repo="org/s", type="dataset", requested="main", commit=commit)
    entry = DataConfig.model_validate({"repo": "org/s", "streaming": True})

    source = read_source(
        PinnedData(entry, fetch(pin, streamed=True), pin), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig())
    )

    assert source.rows == len(source.kept) == 9


def test_a_table_of_one_column_that_does_not_fit_is_asked_for_its_separator(tmp_path: Path, tokenizers):
    path = _write(tmp_path, "prompt|completion\nOne|two\n")

    with pytest.raises(DataError, match=r"its columns are: prompt\|completion") as caught:
        _source(path, tokenizers)

    assert "separator" in str(caught.value.hint)


def test_a_separator_that_the_config_names_is_used_and_one_that_is_recognised_is_said(tmp_path, tokenizers):
    path, listener = _write(tmp_path, "prompt|completion\nOne; two, three|four\n"), Listener()

    named = _source(path, tokenizers, listener, separator="|")

    assert [row.text for row in named.kept] == ["One; two, threefour"]
    assert named.separator == "|"
    path.write_text("prompt;completion\nOne|two;four\n")
    assert _source(path, tokenizers, listener).separator == ";"
    assert [said for said in listener.said if "separated by a semicolon" in said]


def _source(path: Path, tokenizers, listener: Listener | None = None, **values: object) -> Source:
    entry = DataConfig.model_validate({"path": str(path), **values})
    return read_source(
        PinnedData(entry, path), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig()), progress=listener
    )


BAD_TABLES: dict[str, tuple[bytes, str]] = {
    "a quote that is not closed": (
        b'a,b\n1,x\n2,"y\n3,z\n',
        "A quote in rows.csv is not closed: in the row that begins on line 3.",
    ),
    "a name twice": (b"a,b,a\n1,2,3\n", "The header of rows.csv names the column 'a' twice."),
    "a name that is empty": (b"a,,b\n1,2,3\n", "The header of rows.csv has no name for column 2 of 3."),
    "a name at the end that is empty": (b"a,b,\n1,2,3\n", "has no name for column 3 of 3."),
    "a cell without end": (
        b'a,b\n1,x\n2,"' + (b"y" * 99_999 + b"\n") * 170,
        "line 3 has a cell of more than 16,777,216",
    ),
    "a line without end": (b"a,b\n1," + b"y" * 17_000_000, "Line 2 of rows.csv is longer than 16,777,216 characters."),
    "too many columns": (b",".join(b"c%d" % n for n in range(10_001)) + b"\n", "has 10,001 columns; at most 10,000"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_read_is_refused_with_the_place(tmp_path: Path, case: str):
    content, words = BAD_TABLES[case]

    with pytest.raises(DataError) as caught:
        _read(_write(tmp_path, content))

    assert words in caught.value.message
    assert caught.value.hint


def test_a_row_that_never_ends_is_refused_before_it_takes_the_memory(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hubtune.data.csv_rows.LONGEST_ROW", 1000)

    with pytest.raises(DataError, match=r"The row of rows.csv that begins on line 1 is longer than 1,000 characters"):
        _read(_write(tmp_path, "text" + ',"a\n"' * 1000))
    # The bound is that of one row, whatever its file has.
    assert len(_cells(_read(_write(tmp_path, "text\n" + "some words\n" * 1000)))) == 1000


def test_rows_that_hold_a_lot_come_in_smaller_batches(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hubtune.data.rows._HEAVIEST", 400)
    rows = _read(_write(tmp_path, "text\n" + "ten words\n" * 7))

    assert [len(batch) for batch in rows.batches(rows.columns)] == [3, 3, 1]


def test_rows_of_another_length_are_lost_alone_with_their_place(tmp_path: Path, tokenizers):
    path = _write(tmp_path, 'prompt,completion\nOne,two\nThree, four,five\n"Six\nseven"\nEight,nine\n')

    rows = _cells(_read(path))
    source = _source(path, tokenizers)

    assert rows[1] == UnreadableRow(DropReason.RAGGED, "that row, which begins on line 3, has 3 cells, not 2")
    assert rows[2] == UnreadableRow(DropReason.RAGGED, "that row, which begins on line 4, has 1 cell, not 2")
    assert source.numbers.tolist() == [1, 4]
    assert "2 rows, first row 2: a row has more or fewer cells than the header" in source.tally.lines()[0]
    with pytest.raises(TooManyDroppedError):
        source.require_usable(0.01)


def test_a_first_column_without_a_name_holds_row_numbers_and_is_left_out(tmp_path: Path):
    rows = _read(_write(tmp_path, ",text\n0,One.\n1,Two.\n"))

    assert _cells(rows) == [{"text": "One."}, {"text": "Two."}]


def test_labels_that_are_ids_are_read_from_text(tmp_path: Path, tokenizers):
    path = _write(tmp_path, "text,label\nOne.,0\nTwo.,10\nThree.,2\n")

    ids = _source(path, tokenizers)
    assert ids.labels is not None
    assert ids.labels.names == tuple(str(number) for number in range(11))
    assert [row.labels for row in ids.kept] == [[0], [10], [2]]
    path.write_text("text,label\nOne.,0\nTwo.,1\n")
    named = _source(path, tokenizers, labels=["bad", "good"])
    assert [row.labels for row in named.kept] == [[0], [1]]
    path.write_text("text,label\nOne.,007\nTwo.,008\n")
    codes = _source(path, tokenizers)
    assert codes.labels is not None
    assert codes.labels.names == ("007", "008")


def test_groups_are_the_texts_of_cells(tmp_path: Path, tokenizers):
    rows = "".join(f"row {number},{'01' if number % 2 else '1'}\n" for number in range(6))
    path = _write(tmp_path, f"text,group\n{rows}")

    source = _source(path, tokenizers, format="text", group_by="group")

    assert len(set(source.store.column("draw").tolist())) == 2


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", lambda content: _zstd(content))],
)
def test_a_compressed_table_is_read_and_a_damaged_one_named(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
):
    whole = pack(b"a,b\n" + b"".join(b"%06d,x\n" % (number * 7919 % 999_983) for number in range(5000)))
    path = _write(tmp_path, whole, f"rows.csv.{ending}")

    assert _cells(_read(path))[1] == {"a": "007919", "b": "x"}
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"rows.csv.{ending} is damaged"):
        _read(path)


def _zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return pa.compress(content, "zstd", asbytes=True)


def test_what_the_card_says_of_a_table_is_followed_or_refused(tmp_path: Path):
    def read(**options: object) -> list[object]:
        configuration = {"config_name": "default", "data_files": "train.csv", **options}
        _write(tmp_path, f"---\nconfigs: {json.dumps([configuration])}\n---\n", "README.md")
        return _cells(read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train"))

    _write(tmp_path, "1|'x|y'\n2|z\n", "train.csv")
    assert read(sep="|", quotechar="'", names=["a", "b"]) == [{"a": "1", "b": "x|y"}, {"a": "2", "b": "z"}]
    assert read(sep="|", quotechar="'", names=["a", "b"], header=0) == [{"a": "2", "b": "z"}]
    for options in (
        {"skiprows": 1},
        {"header": 3},
        {"quoting": 2},
        {"encoding": "no-such"},
        {"encoding_errors": "ignore"},
    ):
        with pytest.raises(DataError, match="org/s"):
            read(**options)


ODD_OPTIONS = [
    *(("quotechar", value) for value in (5, True, "", "''", "\n", ",", ["'"])),
    *(("escapechar", value) for value in (1.5, "ab", "\r", " ")),
    *(("quoting", value) for value in ("x", 1.0, True, 7, [])),
    *(("sep", value) for value in (5, [","], "ab", "\r", "", True)),
    *(("doublequote", value) for value in ("yes", 1, [])),
    *(("skipinitialspace", value) for value in ("no", 0)),
    *(("header", value) for value in (False, 0.0, "first", [0])),
    *(("names", value) for value in ("text", [None], [True], 3)),
    *(("encoding", value) for value in (3, False, ["utf-8"], "", "rot13")),
]


@pytest.mark.parametrize(("key", "value"), ODD_OPTIONS)
def test_an_option_of_another_type_in_a_card_is_refused_by_its_name(tmp_path: Path, key: str, value: object):
    stated = json.dumps([{"config_name": "default", "data_files": "train.csv", key: value}])
    _write(tmp_path, f"---\nconfigs: {stated}\n---\n", "README.md")
    _write(tmp_path, "text\nA row.\n", "train.csv")

    with pytest.raises(DataError, match=rf"The card of org/s .*{key}") as caught:
        read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")

    assert caught.value.exit_code == 20
    assert "data[]." in caught.value.hint


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("a.txt", "sample_by", 5),
        ("a.txt", "sample_by", ["line"]),
        ("a.txt", "keep_linebreaks", "yes"),
        ("a.json", "field", ["a", "b"]),
        ("a.json", "field", 7),
        ("a.parquet", "columns", "text"),
        ("a.parquet", "columns", [7]),
    ],
)
def test_so_is_one_of_other_files(tmp_path: Path, name: str, key: str, value: object):
    stated = json.dumps([{"config_name": "default", "data_files": name, key: value}])
    _write(tmp_path, f"---\nconfigs: {stated}\n---\n", "README.md")
    _write(tmp_path, "text", name)

    with pytest.raises(
        DataError, match=rf"The card of org/s asks to read its files with {key}: .* what can be read is"
    ):
        read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")


def test_files_of_a_split_need_the_same_columns_in_any_order(tmp_path: Path):
    _write(tmp_path, "a,b\n1,x\n", "train-1.csv")
    other = _write(tmp_path, "b;a\ny;2\n", "train-2.csv")

    def read() -> list[object]:
        return _cells(read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train"))

    assert read() == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    other.write_text("a,c\n2,y\n")
    with pytest.raises(DataError, match=r"train-2\.csv of org/s has no column 'b', and train-1\.csv of org/s has"):
        read()


def test_the_usual_form_needs_nothing_said():
    assert CsvForm() == CsvForm(separator=None, names=(), has_header=True, dialect={})
    assert OddTable("rows.csv", b"a,b\n1,\n").cells() == [{"a": "1", "b": None}]
