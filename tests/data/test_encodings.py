"""Text in another encoding is named with the place of the first byte that does not fit, or read as the config says."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from hubtune.config.data import DataConfig
from hubtune.data.data_files import DataFiles, local_files, resolve_files
from hubtune.data.dataset_repo import file_contents, snapshot_contents
from hubtune.data.rows import read_rows
from hubtune.errors import DataError

# Whatever a codec says of itself in Python's words.
CODECS_OWN_WORDS = ("codec", "can't decode", "ordinal", "invalid start", "continuation", "0xe9")


def _files(folder: Path, name: str, content: bytes, encoding: str | None = None) -> DataFiles:
    (folder / name).write_bytes(content)
    if name.endswith(".txt"):
        files = resolve_files(snapshot_contents(folder, "org/s"), None)
    else:
        files = local_files(folder / name, file_contents(folder / name, name))
    return replace(files, encoding=encoding)


def _rows(files: DataFiles) -> list[object]:
    rows = read_rows(files, "train")
    return [row for batch in rows.batches(rows.columns) for row in batch]


FORMS = {
    "rows.csv": "text\nplain\nCafé Ünï\n",
    "rows.jsonl": '{"text": "plain"}\n\n{"text": "Café Ünï"}\n',
    "rows.json": '[{"text": "plain"},\n\n{"text": "Café Ünï"}]\n',
    "train.txt": "plain\nmore\nCafé Ünï\n",
}
LINE = 3


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "gbk", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named_with_its_place_and_read_if_the_config_names_it(
    tmp_path: Path, name: str, encoding: str
):
    text = FORMS[name].replace("Café Ünï", "你好") if encoding == "gbk" else FORMS[name]
    content = text.encode(encoding)

    with pytest.raises(DataError) as caught:
        _rows(_files(tmp_path, name, content))

    message = caught.value.message
    assert f"{name}" in message
    assert "is not UTF-8" in message
    assert "data[].encoding" in str(caught.value.hint)
    if encoding.startswith("utf"):
        offset, line = next(place for place, byte in enumerate(content) if byte > 127 or byte == 0), 1
    else:
        offset, line = next(place for place, byte in enumerate(content) if byte > 127), LINE
    assert f"byte {offset + 1} (offset {offset}), on line {line}" in message
    assert not [words for words in CODECS_OWN_WORDS if words in message]
    assert "plain" not in message

    read = _rows(_files(tmp_path, name, content, encoding))
    assert read == _rows(_files(tmp_path, name, text.encode()))
    assert read[-1] == {"text": "你好" if encoding == "gbk" else "Café Ünï"}


def test_a_wrong_byte_far_into_a_file_is_found_on_its_line(tmp_path: Path):
    content = b"text\r\n" + b"a line\r\n" * 300_000 + b"caf\xe9\r\n"

    with pytest.raises(DataError) as caught:
        _rows(_files(tmp_path, "rows.csv", content))

    assert "byte 2,400,010 (offset 2400009), on line 300,002," in caught.value.message


def test_a_character_that_two_reads_share_moves_no_place(tmp_path: Path):
    # An odd number of bytes before it, so that no even place is between characters.
    content = b"text\n" + "ä".encode() * 600_000 + b"\n\xff\n"

    with pytest.raises(DataError) as caught:
        _rows(_files(tmp_path, "rows.csv", content))

    assert "(offset 1200006), on line 3," in caught.value.message


def test_an_encoding_that_does_not_fit_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"rows\.csv is not gbk: its byte 6 \(offset 5\), on line 2,"):
        _rows(_files(tmp_path, "rows.csv", b"text\n\xff\xff\n", "gbk"))


@pytest.mark.parametrize("name", FORMS)
def test_a_mark_of_utf_8_is_no_part_of_the_text(tmp_path: Path, name: str):
    marked = _rows(_files(tmp_path, name, FORMS[name].encode("utf-8-sig")))

    assert marked == _rows(_files(tmp_path, name, FORMS[name].encode()))


@pytest.mark.parametrize(
    "encoding",
    ["utf-8x", "base64", "rot13", "hex", "zlib", "idna", "punycode", "unicode_escape", "undefined", "a\0b", ""],
)
def test_what_is_not_an_encoding_of_text_is_refused_by_the_config(encoding: str):
    with pytest.raises(ValidationError, match="is not an encoding of text"):
        DataConfig.model_validate({"path": "rows.csv", "encoding": encoding})


@pytest.mark.parametrize(
    "encoding", ["utf-8", "UTF8", "latin-1", "cp1252", "gb18030", "shift_jis", "utf_16_le", "koi8-r"]
)
def test_encodings_of_text_are_taken_by_any_of_their_names(encoding: str):
    assert DataConfig.model_validate({"path": "rows.csv", "encoding": encoding}).encoding == encoding


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n", "a", "7", "\0"])
def test_what_cannot_separate_cells_is_refused_by_the_config(separator: str):
    with pytest.raises(ValidationError, match="cannot separate cells"):
        DataConfig.model_validate({"path": "rows.csv", "separator": separator})


def test_a_tab_may_be_written_with_a_backslash():
    assert DataConfig.model_validate({"path": "rows.csv", "separator": "\\t"}).separator == "\t"


@pytest.mark.parametrize(
    ("name", "key"), [("rows.jsonl", "separator"), ("rows.parquet", "encoding"), ("x.arrow", "encoding")]
)
def test_keys_that_do_not_fit_a_local_file_are_refused(name: str, key: str):
    with pytest.raises(ValidationError, match=key):
        DataConfig.model_validate({"path": name, key: ";" if key == "separator" else "gbk"})


@pytest.mark.parametrize(("key", "value"), [("separator", ";"), ("encoding", "gbk")])
def test_keys_that_do_not_fit_the_files_of_a_repository_are_refused(tmp_path: Path, key: str, value: str):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["x"]}), tmp_path / "train.parquet")
    files = resolve_files(snapshot_contents(tmp_path, "org/s"), None)

    with pytest.raises(DataError, match=r"The files of org/s are not") as caught:
        read_rows(replace(files, **{key: value}), "train")

    assert key in str(caught.value.hint)
