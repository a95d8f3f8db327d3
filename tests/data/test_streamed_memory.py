"""Rows that are streamed from a Hub take the same memory, however many they are: ten million in a full trial."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd

from tests.data.streamed_memory import REPO
from tests.served_hub import ServedHub

BOUND = 1.2
_AT_ONCE = 100_000


def _texts(rows: int) -> Iterator[list[str]]:
    for start in range(0, rows, _AT_ONCE):
        yield [f"Row {number} of many." for number in range(start, min(rows, start + _AT_ONCE))]


def _parquet(path: Path, rows: int) -> None:
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for texts in _texts(rows):
            file.write_table(pa.table({"text": texts}, schema))


def _json_lines(path: Path, rows: int) -> None:
    with gzip.open(path, "wt", compresslevel=1) as file:
        for texts in _texts(rows):
            file.writelines(f'{{"text": "{text}"}}\n' for text in texts)


FILES = {"parquet": ("data/train.parquet", _parquet), "json lines": ("train.jsonl.gz", _json_lines)}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("kind", FILES)
def test_many_streamed_rows_take_hardly_more_memory_than_few(
    kind: str,
    served: ServedHub,
    tmp_path: Path,
    trials: Callable[[int, int], int],
    peak_memory: Callable[..., dict[str, int]],
):
    name, write = FILES[kind]
    served.api.create_repo(REPO, repo_type="dataset")

    def peak(rows: int) -> dict[str, int]:
        path = tmp_path / "rows"
        write(path, rows)
        made = served.api.create_commit(
            REPO, [CommitOperationAdd(name, path)], repo_type="dataset", commit_message=f"{rows} rows"
        )
        path.unlink()
        found = peak_memory("tests.data.streamed_memory", served.url, made.oid)
        assert found["rows"] == rows
        assert found["characters"] == sum(len(text) for texts in _texts(rows) for text in texts)
        return found

    few, many = peak(trials(100_000, 1_000_000)), peak(trials(1_000_000, 10_000_000))

    # Nothing was asked for but at the commits.
    asked = {line["revision"] for line in served.requests() if "/resolve/" in str(line["path"])}
    assert all(len(str(revision)) == 40 for revision in asked)
    assert many["anonymous"] <= BOUND * few["anonymous"], (few, many)
