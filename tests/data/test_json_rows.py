"""A value of JSON is what the file says, whatever other rows hold, and what is not sound is a fault of its row."""

import json
import pickle
from pathlib import Path

import pytest

from hubtune.config.data import DataConfig, ScreenConfig
from hubtune.data.data_files import PinnedData, local_files, resolve_files
from hubtune.data.dataset_repo import file_contents, snapshot_contents
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.rows import Rows, read_rows
from hubtune.data.segments import DropReason, UnreadableRow
from hubtune.data.source import read_source
from hubtune.errors import DataError


def _read(path: Path) -> Rows:
    return read_rows(local_files(path, file_contents(path, path.name)), "train")


def _rows(folder: Path, content: str, name: str = "rows.jsonl") -> list[object]:
    (folder / name).write_text(content)
    rows = _read(folder / name)
    return [row for batch in rows.batches(rows.columns) for row in batch]


ODD_ROWS: dict[str, list[dict[str, object]]] = {
    "whole numbers, one missing": [{"n": 1900}, {"n": None}, {"m": 1}],
    "dates": [{"d": "2024-01-01"}, {"d": "2024-01-01T00:00:00Z"}, {"d": "2024-01-01 10:00:00"}],
    "numbers, then texts": [*({"x": number} for number in range(3000)), {"x": "X"}, {"x": "007"}],
    "large numbers": [{"n": 2**63}, {"n": 2**64 + 1}, {"n": -(10**300)}],
    "whole numbers and fractions": [{"n": 1}, {"n": 1.5}, {"n": 2}],
    "texts that look like null": [{"t": "null"}, {"t": "NaN"}, {"t": ""}, {"t": "true"}],
    "truth and numbers": [{"x": True}, {"x": 1}, {"x": 0.0}, {"x": False}],
    "nested values of many forms": [{"m": [{"role": "user", "content": "x"}]}, {"m": [{"content": 3, "z": [1, "a"]}]}],
    "objects with other keys": [{"o": {"a": 1}}, {"o": {"b": None}}, {"o": {}}],
    "lists of many kinds": [{"l": [1, "a", None]}, {"l": []}, {"l": [[1]]}],
}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
@pytest.mark.parametrize("case", ODD_ROWS)
def test_values_are_those_of_the_json_module(tmp_path: Path, case: str, name: str):
    rows = ODD_ROWS[case]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    content = json.dumps(rows, indent=1) if name == "rows.json" else "\n".join(map(json.dumps, rows))

    found = _rows(tmp_path, content, name)

    expected = [{column: row.get(column) for column in columns} for row in rows]
    assert found == expected
    assert repr(found) == repr(expected)


def test_numbers_are_written_as_the_file_writes_them(tmp_path: Path, tokenizers):
    numbers = [
        "1.10",
        "1.0",
        "1e5",
        "0.1000000000000000055",
        "1E400",
        "12345678901234567890123",
        "-0.0",
        "-0",
        "7",
        "true",
        "false",
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"n": {number}}}\n' for number in numbers))
    entry = DataConfig.model_validate({"path": str(path), "template": "It is {n}"})

    source = read_source(PinnedData(entry, path), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig()))

    assert [row.text for row in source.kept] == [f"It is {number}" for number in numbers]
    # Rows go to other processes.
    rows = pickle.loads(pickle.dumps(_rows(tmp_path, path.read_text())))
    assert [str(row["n"]) for row in rows[:9]] == numbers[:9]


def test_numbers_of_a_column_that_the_card_says_to_be_text_are_texts(tmp_path: Path):
    (tmp_path / "README.md").write_text("---\ndataset_info: {features: [{name: a, dtype: string}]}\n---\n")
    (tmp_path / "train.jsonl").write_text('{"a": 1.10, "b": 1}\n{"a": true, "b": null}\n{"a": "x", "b": 2}\n')

    rows = read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")

    found = [row for batch in rows.batches(["a", "b"]) for row in batch]
    assert found == [{"a": "1.10", "b": 1}, {"a": "true", "b": None}, {"a": "x", "b": 2}]


UNSOUND = {
    "not a number": ('{"t": NaN}', "NaN is not a number in JSON"),
    "infinity": ('{"t": [-Infinity]}', "-Infinity is not a number in JSON"),
    "5,000 digits": ('{"t": ' + "7" * 5000 + "}", "a number has more than 400 digits"),
    "100,000 lists": ('{"t": ' + "[" * 100_000 + "]" * 100_000 + "}", "it is nested more than 100 deep"),
    "200 objects": ('{"t": ' * 200 + "1" + "}" * 200, "it is nested more than 100 deep"),
    "a key twice": ('{"t": "a", "t": "b"}', "a key stands twice in an object"),
    "a key twice within": ('{"t": {"x": 1, "x": 1}}', "a key stands twice in an object"),
    "half a pair in a key": ('{"\\ud83d": "a"}', "a key contains an unpaired surrogate"),
    "a list": ('["a"]', "it is not an object"),
    "a text": ('"a"', "it is not an object"),
    "cut": ('{"t": "a', ""),
    "two on a line": ('{"t": "a"} {"t": "b"}', ""),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_line_that_is_not_sound_is_lost_alone_with_its_reason(tmp_path: Path, case: str):
    line, detail = UNSOUND[case]

    found = _rows(tmp_path, f'{{"t": "first"}}\n{line}\n{{"t": "last"}}\n')

    assert found == [{"t": "first"}, UnreadableRow(DropReason.NOT_JSON, detail), {"t": "last"}]


@pytest.mark.parametrize("case", ["not a number", "5,000 digits", "200 objects", "a key twice", "half a pair in a key"])
def test_so_is_an_item_of_a_list(tmp_path: Path, case: str):
    item, detail = UNSOUND[case]

    found = _rows(tmp_path, f'[{{"t": "first"}}, {item},\n{{"t": "last"}}]', "rows.json")

    assert found == [{"t": "first"}, UnreadableRow(DropReason.NOT_JSON, detail), {"t": "last"}]


FORMS = {
    "objects over several lines": '{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
    "columns over several lines": '{\n  "a": [1,\n 2]\n}\n',
    "a list on one line": '[{"a":1},{"a":2}]',
    "a list with space": ' \n [ {"a" : 1 } , \n {"a":2} \n ] \n',
    "blank lines": '\n{"a": 1}\n\n  \n{"a": 2}',
    "marks of files that were put together": '\ufeff{"a": 1}\n\ufeff{"a": 2}\n',
    "CR LF": '{"a": 1}\r\n{"a": 2}\r\n',
}


@pytest.mark.parametrize("case", FORMS)
def test_json_of_every_form_is_read(tmp_path: Path, case: str):
    assert _rows(tmp_path, FORMS[case], "rows.json") == [{"a": 1}, {"a": 2}]


def test_a_long_list_is_read_with_every_item_whole(tmp_path: Path):
    rows = [{"n": number, "text": "x" * (number % 977)} for number in range(6000)]

    assert _rows(tmp_path, json.dumps(rows), "rows.json") == rows


def test_a_number_that_two_reads_share_is_one_item(tmp_path: Path):
    begin = '[{"a": 1},'.ljust((1 << 20) - 2)

    found = _rows(tmp_path, begin + '12345, {"a": 2}]', "rows.json")

    assert found == [{"a": 1}, UnreadableRow(DropReason.NOT_JSON, "it is not an object"), {"a": 2}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"a": 1},\n{"a": 2}', "is not JSON from line 2 on"),
        ('[{"a": 1}\n\n {"a": 2}]', "is not JSON from line 3 on"),
        ('[{"a": 1}]\n[{"a": 2}]\n', "is not JSON from line 2 on"),
        ('["a"]\n["b"]\n', "is not JSON from line 2 on"),
        ('[{"a": ' + "[" * 100_000 + "]}]", "nested more than 100 deep"),
        ('[{"a": 1},\n{"a": "' + "x" * 40_000_000 + '"}]', "the one that begins on line 2"),
        ("words\nmore words\n", "holds no line that is a JSON object"),
    ],
)
def test_a_file_that_is_not_json_is_refused_with_the_place(tmp_path: Path, content: str, words: str):
    with pytest.raises(DataError, match=words) as caught:
        _rows(tmp_path, content, "rows.json")

    assert "rows.json" in caught.value.message
    assert caught.value.hint


def test_columns_of_lists_and_objects_alone_are_told(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"a": [1], "b": {"x": 1}, "c": 1}\n{"a": null, "b": [1], "c": [1]}\n')

    assert _read(tmp_path / "rows.jsonl").nested == {"a": "lists", "b": "lists and objects"}


def test_more_keys_than_a_data_set_has_columns_are_refused(tmp_path: Path):
    content = "".join(f'{{"key {number}": 1}}\n' for number in range(10_002))

    with pytest.raises(DataError, match="more than 10,000 different keys"):
        _rows(tmp_path, content)


def test_rows_that_take_the_memory_are_lost_alone(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hubtune.data.json_values.SHORT", 1000)
    monkeypatch.setattr("hubtune.data.json_values.MOST_IN_ROW", 500)
    nested, key = f'{{"t": [{",".join(["[]"] * 600)}]}}', f'{{"t": 1, "{"k" * 1001}": 1}}'
    # A short text, and one that holds no more than a row has.
    words = json.dumps({"t": "word, " * 400})

    found = _rows(tmp_path, "\n".join(['{"t": 1}', nested, key, words, '{"t": {"' + "k" * 2000 + '": 1}}']))

    assert found[1:3] == [
        UnreadableRow(DropReason.HUGE, "it has more than 500 commas and brackets"),
        UnreadableRow(DropReason.HUGE, "a key has more than 1,000 characters"),
    ]
    assert found[0] == {"t": 1}
    assert found[3] == {"t": "word, " * 400}
    assert list(found[4]["t"]) == ["k" * 2000]


def test_a_row_of_more_keys_than_a_data_set_has_columns_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="more than 10,000 different keys"):
        _rows(tmp_path, json.dumps({f"key {number}": 1 for number in range(10_001)}))


@pytest.mark.parametrize("chunk", [500, 1 << 20])
@pytest.mark.parametrize("inner", ["[]", '{"b": 1}', '"word, word"', "1.50"])
def test_an_object_of_more_values_than_the_memory_holds_is_refused_with_what_to_write(
    tmp_path: Path, monkeypatch, inner: str, chunk: int
):
    monkeypatch.setattr("hubtune.data.json_rows.LONGEST_LINE", 2000)
    monkeypatch.setattr("hubtune.data.json_rows._CHUNK", chunk)
    monkeypatch.setattr("hubtune.data.json_rows.MOST_VALUES", 3000)

    with pytest.raises(
        DataError, match=r"rows.json holds a JSON object of more than .* 3,000 commas and brackets"
    ) as e:
        _rows(tmp_path, '{\n"a": [' + ",".join([inner] * 4000) + "]}", "rows.json")

    assert "one JSON object per line" in e.value.hint
    # A list is never held as a whole, nor are objects one after the other.
    rows = [{"a": json.loads(inner)}] * 4000
    assert _rows(tmp_path, json.dumps(rows), "list.json") == rows
    assert _rows(tmp_path, "\n".join(json.dumps(row, indent=1) for row in rows), "objects.json") == rows


def test_the_rows_of_a_field_that_the_memory_does_not_hold_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hubtune.data.json_rows.MOST_VALUES", 3000)
    (tmp_path / "README.md").write_text("---\nconfigs: [{config_name: x, data_files: a.json, field: rows}]\n---\n")
    (tmp_path / "a.json").write_text(json.dumps({"rows": [{"a": 1}] * 4000}))

    with pytest.raises(DataError, match=r"a.json of org/s is a JSON document of more than"):
        read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")


def test_objects_one_after_the_other_are_read_whatever_the_length_of_their_file(tmp_path: Path, monkeypatch):
    rows = [{"n": number} for number in range(50)]
    monkeypatch.setattr("hubtune.data.json_rows.LARGEST_DOCUMENT", 100)

    assert _rows(tmp_path, "\n".join(json.dumps(row, indent=1) for row in rows), "rows.json") == rows


def test_a_list_on_one_line_is_read_whatever_its_length(tmp_path: Path, monkeypatch):
    rows = [{"n": number} for number in range(500)]
    monkeypatch.setattr("hubtune.data.text_files.LONGEST_LINE", 100)

    assert _rows(tmp_path, json.dumps(rows), "rows.json") == rows
