"""A pinned data set is read from its folder in any common format; what does not fit the config is named."""

from pathlib import Path

import pytest

from hubtune.config.schema import DataConfig
from hubtune.data.rows import read_rows
from hubtune.errors import ColumnNotFoundError, DataError, EmptySplitError, SplitNotFoundError
from tests.sample_runs import write_json_lines

ROWS = [{"author": "Ann", "quote": "Yes, “yes”."}, {"author": "Bob", "quote": "No."}]


def _entry(**values: str) -> DataConfig:
    return DataConfig.model_validate({"repo": "org/sayings", "template": "{author}: {quote}", **values})


def _write(folder: Path, kind: str) -> Path:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if kind == "jsonl":
        return write_json_lines(folder, ROWS)
    table = pa.Table.from_pylist(ROWS)
    if kind == "csv":
        csv.write_csv(table, folder / "train.csv")
    else:
        (folder / "data").mkdir()
        parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_format_is_read_row_by_row(tmp_path: Path, kind: str):
    assert list(read_rows(_write(tmp_path, kind), _entry())) == ROWS


def test_several_files_of_a_split_are_read_to_the_last_row(tmp_path: Path):
    write_json_lines(tmp_path, ROWS[:1], "train-00000.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "train-00001.jsonl")

    assert list(read_rows(tmp_path, _entry())) == ROWS


def test_the_named_split_is_read(tmp_path: Path):
    write_json_lines(tmp_path, ROWS[:1], "train.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "test.jsonl")

    assert list(read_rows(tmp_path, _entry(split="test"))) == ROWS[1:]


def test_a_configuration_is_chosen_by_name(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: one, data_files: one.jsonl}\n- {config_name: two, data_files: two.jsonl}\n---\n"
    )
    write_json_lines(tmp_path, ROWS[:1], "one.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "two.jsonl")

    assert list(read_rows(tmp_path, _entry(name="two"))) == ROWS[1:]


def test_several_configurations_without_a_name_are_refused_with_the_key_to_set(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: one, data_files: one.jsonl}\n- {config_name: two, data_files: two.jsonl}\n---\n"
    )
    write_json_lines(tmp_path, ROWS[:1], "one.jsonl")
    write_json_lines(tmp_path, ROWS[1:], "two.jsonl")

    with pytest.raises(DataError) as caught:
        read_rows(tmp_path, _entry())

    assert "one" in caught.value.message
    assert "two" in caught.value.message
    assert "data[].name" in str(caught.value.hint)


def test_a_missing_split_names_those_that_there_are(tmp_path: Path):
    write_json_lines(tmp_path, ROWS, "train.jsonl")
    write_json_lines(tmp_path, ROWS, "test.jsonl")

    with pytest.raises(SplitNotFoundError, match=r"org/sayings has no split 'dev'; it has: test, train\."):
        read_rows(tmp_path, _entry(split="dev"))


def test_a_missing_column_names_those_that_there_are(tmp_path: Path):
    write_json_lines(tmp_path, ROWS)

    with pytest.raises(ColumnNotFoundError, match=r"no column 'autor', 'text'; its columns are: author, quote\."):
        read_rows(tmp_path, _entry(template="{autor} {quote} {text}"))


@pytest.mark.parametrize(("name", "content"), [("train.jsonl", ""), ("train.csv", "author,quote\n")])
def test_a_split_without_rows_is_refused_as_empty(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)

    with pytest.raises(EmptySplitError, match="org/sayings"):
        read_rows(tmp_path, _entry())


@pytest.mark.parametrize("value", [["a", "b"], {"text": "a"}], ids=["list", "mapping"])
def test_a_column_that_is_neither_text_nor_number_is_refused(tmp_path: Path, value: object):
    write_json_lines(tmp_path, [{"author": "Ann", "quote": value}])

    with pytest.raises(DataError, match="The column 'quote' of org/sayings"):
        read_rows(tmp_path, _entry())


def test_a_column_of_lists_that_the_template_leaves_alone_is_no_hindrance(tmp_path: Path):
    write_json_lines(tmp_path, [{**ROWS[0], "tags": ["a"]}])

    assert len(read_rows(tmp_path, _entry())) == 1


def test_a_file_that_cannot_be_parsed_is_refused_with_the_reason(tmp_path: Path):
    (tmp_path / "train.jsonl").write_text('{"author": "Ann", "quote": \n{{{')

    with pytest.raises(DataError, match="cannot be read as a data set"):
        read_rows(tmp_path, _entry())


def test_a_loading_script_is_never_run(tmp_path: Path):
    write_json_lines(tmp_path, ROWS)
    marker = tmp_path / "ran"
    for name in ("sayings.py", "dataset.py"):
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'w').close()\n")

    assert list(read_rows(tmp_path, _entry())) == ROWS
    assert not marker.exists()


def test_a_folder_without_data_is_refused(tmp_path: Path):
    (tmp_path / "README.md").write_text("# Nothing here\n")

    with pytest.raises(DataError, match="org/sayings"):
        read_rows(tmp_path, _entry())
