"""A pinned dataset is read from its folder in any common format; what does not fit the config is named."""

from pathlib import Path

import pytest

from hubtune.config.data import DataConfig
from hubtune.data.data_files import local_files, resolve_files
from hubtune.data.dataset_repo import file_contents, snapshot_contents
from hubtune.data.rows import read_rows
from hubtune.data.segments import DropReason, UnreadableRow
from hubtune.errors import DataError, EmptySplitError, SplitNotFoundError
from tests.sample_runs import write_json_lines

ROWS = [{"author": "Ann", "quote": "Yes, “yes”."}, {"author": "Bob", "quote": "No."}]


def _entry(**values: str) -> DataConfig:
    return DataConfig.model_validate({"repo": "org/sayings", "template": "{author}: {quote}", **values})


def read(folder: Path, entry: DataConfig) -> list[dict[str, object]]:
    if entry.path:
        files = local_files(folder, file_contents(folder, entry.label))
    else:
        files = resolve_files(snapshot_contents(folder, entry.label), entry.name)
    rows = read_rows(files, entry.split)
    return [row for batch in rows.batches(rows.columns) for row in batch]


def _write(folder: Path, kind: str) -> Path:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if kind == "jsonl":
        return write_json_lines(folder, ROWS)
    table = pa.Table.from_pylist(ROWS)
    if kind == "csv":
        csv.write_csv(table, folder / "train.csv")
    elif kind == "arrow":
        with pa.OSFile(str(folder / "train.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    else:
        (folder / "data").mkdir()
        parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "arrow"])
def test_a_format_is_read_row_by_row(tmp_path: Path, kind: str):
    assert read(_write(tmp_path, kind), _entry()) == ROWS


def test_several_files_of_a_split_are_read_to_the_last_row(tmp_path: Path):
    write_json_lines(tmp_path, ROWS[:1], "train-00000.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "train-00001.jsonl")

    assert read(tmp_path, _entry()) == ROWS


def test_the_named_split_is_read(tmp_path: Path):
    write_json_lines(tmp_path, ROWS[:1], "train.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "test.jsonl")

    assert read(tmp_path, _entry(split="test")) == ROWS[1:]


def test_a_configuration_is_chosen_by_name(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: one, data_files: one.jsonl}\n- {config_name: two, data_files: two.jsonl}\n---\n"
    )
    write_json_lines(tmp_path, ROWS[:1], "one.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "two.jsonl")

    assert read(tmp_path, _entry(name="two")) == ROWS[1:]


def test_several_configurations_without_a_name_are_refused_with_the_key_to_set(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: one, data_files: one.jsonl}\n- {config_name: two, data_files: two.jsonl}\n---\n"
    )
    write_json_lines(tmp_path, ROWS[:1], "one.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "two.jsonl")

    with pytest.raises(DataError) as caught:
        read(tmp_path, _entry())

    assert "one" in caught.value.message
    assert "two" in caught.value.message
    assert "data[].name" in str(caught.value.hint)


def test_a_missing_split_names_those_that_there_are(tmp_path: Path):
    write_json_lines(tmp_path, ROWS, "train.jsonl")
    write_json_lines(tmp_path, ROWS, "test.jsonl")

    with pytest.raises(SplitNotFoundError, match=r"org/sayings has no split 'dev'; it has: test, train\."):
        read(tmp_path, _entry(split="dev"))


@pytest.mark.parametrize(("name", "content"), [("train.jsonl", ""), ("train.csv", "author,quote\n")])
def test_a_split_without_rows_is_refused_as_empty(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)

    with pytest.raises(EmptySplitError, match="org/sayings"):
        read(tmp_path, _entry())


def test_a_file_that_cannot_be_parsed_is_refused_with_the_reason(tmp_path: Path):
    (tmp_path / "train.jsonl").write_text('{"author": "Ann", "quote": \n{{{')

    with pytest.raises(DataError, match="cannot be read as a dataset"):
        read(tmp_path, _entry())


def test_a_loading_script_is_never_run(tmp_path: Path):
    write_json_lines(tmp_path, ROWS)
    marker = tmp_path / "ran"
    for name in ("sayings.py", "dataset.py"):
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'w').close()\n")

    assert read(tmp_path, _entry()) == ROWS
    assert not marker.exists()


def test_a_folder_without_data_is_refused(tmp_path: Path):
    (tmp_path / "README.md").write_text("# Nothing here\n")

    with pytest.raises(DataError, match="org/sayings"):
        read(tmp_path, _entry())


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[:10%]", range(2)),
        ("train[18:]", range(18, 20)),
        ("train[-1:]", range(19, 20)),
        ("train[5:7]+test", [5, 6, 100]),
    ],
)
def test_a_part_of_a_split_is_read_as_datasets_counts_it(tmp_path: Path, split: str, expected):
    write_json_lines(tmp_path, [{"n": number} for number in range(20)], "train.jsonl")
    write_json_lines(tmp_path, [{"n": 100}], "test.jsonl")

    assert [row["n"] for row in read(tmp_path, _entry(split=split))] == list(expected)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "arrow"])
def test_a_local_file_is_read_as_one_split(tmp_path: Path, kind: str):
    _write(tmp_path, kind)
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())

    assert read(path, _local(path)) == ROWS
    assert read(path, _local(path, split="train[1:]")) == ROWS[1:]
    with pytest.raises(SplitNotFoundError, match=f"{path.name} has no split 'test'; it has: train"):
        read(path, _local(path, split="test"))


def test_a_table_of_tabs_is_read_by_its_columns(tmp_path: Path):
    path = tmp_path / "rows.tsv"
    path.write_text("author\tquote\nAnn\tYes, “yes”.\nBob\tNo.\n")

    assert read(path, _local(path)) == ROWS


@pytest.mark.parametrize("name", ["rows.zip", "rows.py", "rows", "rows.xlsx"])
def test_a_local_file_of_another_kind_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_text("x")

    with pytest.raises(DataError, match="cannot be read as rows"):
        read(tmp_path / name, _local(tmp_path / name))


def test_a_local_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="There is no file"):
        read(tmp_path / "rows.csv", _local(tmp_path / "rows.csv"))


def _local(path: Path, **values: str) -> DataConfig:
    return DataConfig.model_validate({"path": str(path), "template": "{author}: {quote}", **values})


def test_a_part_beyond_the_split_is_refused(tmp_path: Path):
    write_json_lines(tmp_path, ROWS)

    with pytest.raises(DataError, match="train"):
        read(tmp_path, _entry(split="train[7:9]"))


def test_lines_that_are_not_json_are_lost_alone_each_in_its_place(tmp_path: Path):
    lines = ['{"author": "Ann", "quote": "Yes."}', "{broken", '{"author": "Bob"}', "[1]", '{"quote": "\\ud83d"}']
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")

    assert read(tmp_path, _entry()) == [
        {"author": "Ann", "quote": "Yes."},
        UnreadableRow(DropReason.NOT_JSON),
        {"author": "Bob", "quote": None},
        UnreadableRow(DropReason.NOT_JSON, "it is not an object"),
        {"author": None, "quote": "\ud83d"},
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.parquet", b"PAR1 cut off"),
        ("train.arrow", b"cut"),
        ("train.jsonl", b"{cut\n"),
    ],
)
def test_a_damaged_file_is_refused_with_what_can_be_read(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match="org/sayings cannot be read as a dataset") as caught:
        read(tmp_path, _entry())

    assert "Parquet" in str(caught.value.hint)


def test_a_file_whose_types_differ_is_refused_without_a_value_of_it(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"author": [1], "quote": ["x"]}), tmp_path / "train-1.parquet")
    parquet.write_table(pa.table({"author": ["Ann of Ely"], "quote": ["x"]}), tmp_path / "train-2.parquet")

    with pytest.raises(DataError, match="not of the types that the card or the first file states") as caught:
        read(tmp_path, _entry())

    assert "Ann" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [("rows.zip", "an archive"), ("rows.tar.gz", "an archive"), ("sayings.py", "a loading script, which is never run")],
)
def test_an_archive_or_a_loading_script_alone_is_refused(tmp_path: Path, name: str, said: str):
    (tmp_path / name).write_bytes(b"PK\x03\x04")

    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, _entry())

    assert name in caught.value.message


def test_an_archive_that_the_card_names_as_data_is_refused(tmp_path: Path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("rows.jsonl", '{"author": "Ann", "quote": "Yes."}\n')
    write_json_lines(tmp_path, ROWS, "other.jsonl")
    (tmp_path / "README.md").write_text("---\nconfigs:\n- {config_name: default, data_files: rows.zip}\n---\n")

    with pytest.raises(DataError, match=r"rows\.zip of org/sayings is an archive"):
        read(tmp_path, _entry())


def test_rows_of_a_table_that_hold_a_lot_come_in_smaller_batches(tmp_path: Path, monkeypatch):
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"text": f"Row {number}" + " and so on" * 100 * (number % 2)} for number in range(9)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    monkeypatch.setattr("hubtune.data.rows._HEAVIEST", 1500)

    read = read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")

    batches = list(read.batches(["text"]))
    assert max(map(len, batches)) <= 3
    assert [row for batch in batches for row in batch] == rows


@pytest.mark.parametrize(
    "said",
    [
        b"\xff",
        b"7",
        b"[]",
        b'{"info": null}',
        b'{"info": {"features": [1]}}',
        b'{"info": {"features": {"text": {"_type": "Value"}}}}',
        b'{"info": {"features": {"text": {"_type": 7}}}}',
        b'{"info": {"features": {"text": {"_type": "Value", "dtype": 7}}}}',
        b'{"info": {"features": {"text": {"_type": "Array2D", "shape": "x", "dtype": 3}}}}',
        b'{"info": {"features": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    ],
)
def test_what_a_table_says_of_its_columns_is_followed_or_refused(tmp_path: Path, said: bytes):
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"text": ["a row"] * 20}).replace_schema_metadata({b"huggingface": said})
    parquet.write_table(table, tmp_path / "train.parquet")

    told = _first_or_error(tmp_path)
    assert told == {"text": "a row"} or str(told).startswith("The files of org/s cannot be read as a dataset: ")


def _first_or_error(folder: Path) -> object:
    try:
        return next(read_rows(resolve_files(snapshot_contents(folder, "org/s"), None), "train").batches(["text"]))[0]
    except DataError as error:
        return error.message
