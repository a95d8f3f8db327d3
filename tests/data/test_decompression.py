"""Compressed files give their rows, or are refused by name before they take the memory or never end."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from hubtune.data.data_files import local_files, resolve_files
from hubtune.data.dataset_repo import file_contents, snapshot_contents
from hubtune.data.rows import read_rows
from hubtune.data.segments import DropReason, UnreadableRow
from hubtune.errors import DataError

PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}
ROWS = b'{"text": "a row"}\n' * 3


def _texts(folder: Path, content: bytes, end: str) -> list[object]:
    path = folder / f"rows.jsonl.{end}"
    path.write_bytes(content)
    rows = read_rows(local_files(path, file_contents(path, path.name)), "train")
    return [row["text"] for batch in rows.batches(["text"]) for row in batch]


@pytest.mark.parametrize("kind", PACKS)
def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path, monkeypatch, kind: str):
    monkeypatch.setattr("hubtune.data.decompression.FREE", 10_000)
    monkeypatch.setattr("hubtune.data.decompression.MOST_TIMES", 20)
    assert _texts(tmp_path, PACKS[kind](ROWS), kind) == ["a row"] * 3

    with pytest.raises(DataError, match=rf"rows.jsonl.{kind} unpacks to more than 20 times its size") as caught:
        _texts(tmp_path, PACKS[kind](b'{"text": "a row"}\n' * 50_000), kind)

    assert caught.value.exit_code == 20
    assert "data[].path" in caught.value.hint


@pytest.mark.parametrize("kind", PACKS)
def test_a_small_file_may_unpack_to_any_number_of_times_its_size(tmp_path: Path, monkeypatch, kind: str):
    monkeypatch.setattr("hubtune.data.decompression.MOST_TIMES", 2)

    assert _texts(tmp_path, PACKS[kind](ROWS * 5000), kind) == ["a row"] * 15_000


def test_xz_that_asks_for_more_memory_than_text_needs_is_refused(tmp_path: Path):
    def packed(size: int) -> bytes:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": size}]
        # The dictionary that is asked for stands in the header alone.
        return lzma.compress(ROWS, filters=filters)

    assert _texts(tmp_path, packed(1 << 26), "xz") == ["a row"] * 3
    with pytest.raises(DataError, match=r"rows.jsonl.xz takes more than 256 MiB of memory"):
        _texts(tmp_path, packed(3 << 28), "xz")


def test_streams_of_xz_one_after_the_other_are_one_file(tmp_path: Path):
    one = lzma.compress(ROWS)

    assert _texts(tmp_path, one + one + bytes(8) + one + bytes(4), "xz") == ["a row"] * 9
    with pytest.raises(DataError, match=r"rows.jsonl.xz is damaged"):
        _texts(tmp_path, one + one[:-20], "xz")


def test_a_compressed_file_within_another_is_not_text(tmp_path: Path):
    with pytest.raises(DataError, match=r"rows.jsonl.gz is not UTF-8: its byte 2"):
        _texts(tmp_path, gzip.compress(gzip.compress(ROWS)), "gz")


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_blank_lines_without_end_are_refused(tmp_path: Path, monkeypatch, end: str):
    monkeypatch.setattr("hubtune.data.text_files.MOST_BLANK", 100)
    blank = end.encode() * 100
    assert _texts(tmp_path, gzip.compress(ROWS + blank + ROWS + blank), "gz") == ["a row"] * 6

    with pytest.raises(DataError, match=r"rows.jsonl.gz has more than 100 blank lines one after the other"):
        _texts(tmp_path, gzip.compress(ROWS + blank + end.encode()), "gz")


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_paragraphs_and_documents_are_rows_and_what_is_too_long_is_lost_alone(tmp_path: Path, monkeypatch, chunk: int):
    monkeypatch.setattr("hubtune.data.text_files._CHUNK", chunk)
    monkeypatch.setattr("hubtune.data.text_files.LONGEST_LINE", 20)

    def read(by: str) -> list[object]:
        stated = f"---\nconfigs: [{{config_name: a, data_files: a.txt, sample_by: {by}}}]\n---\n"
        (tmp_path / "README.md").write_text(stated)
        rows = read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")
        return [row for batch in rows.batches(["text"]) for row in batch]

    too_long = UnreadableRow(DropReason.HUGE, "more than 16,777,216 characters")
    (tmp_path / "a.txt").write_bytes("\ufeff\n\nOne\r\nline.\n\n\n".encode() + b"a\n" * 40 + b"\nLast.\n")
    assert read("paragraph") == [{"text": "One\nline."}, too_long, {"text": "Last.\n"}]
    assert read("document") == [too_long]
    (tmp_path / "a.txt").write_bytes(b"One\n\ntwo.\n")
    assert read("document") == [{"text": "One\n\ntwo.\n"}]
