"""A record is closed, reads back equal, and is written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from hubtune.errors import DiskFullError, FileError, RecordError
from hubtune.records.base import PinSet, sha256_bytes, sha256_file, write_atomic
from hubtune.records.results import EvaluationRecord, Measure
from tests.sample_runs import ENVIRONMENT, sample_pins


def _fail(number: int):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_record_reads_back_equal(tmp_path: Path):
    path = tmp_path / "pins.json"
    write_atomic(path, sample_pins().to_json())

    assert PinSet.read(path) == sample_pins()
    assert path.read_text().endswith("}\n")


def test_a_record_with_unknown_and_missing_keys_is_refused_with_each(tmp_path: Path):
    path = tmp_path / "pins.json"
    path.write_text('{"base": {"repo": "org/base", "type": "model", "requested": "main", "comit": "x"}, "extra": 1}')

    with pytest.raises(RecordError, match=r"pins\.json is not a record") as caught:
        PinSet.read(path)

    assert {line.partition(":")[0] for line in caught.value.details} == {"base.commit", "base.comit", "data", "extra"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "pins.json").write_bytes(content)

    with pytest.raises(RecordError, match="not a record"):
        PinSet.read(tmp_path / "pins.json")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(RecordError, match=r"There is no file .*pins\.json"):
        PinSet.read(tmp_path / "pins.json")


def test_a_record_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        sample_pins().base = None  # type: ignore[assignment,misc]


def test_a_measure_is_found_by_name():
    measure = Measure(name="perplexity", split="held-out", n=1, base=2.0, tuned=1.0, interval=None, status="measured")
    record = EvaluationRecord(
        upstream={}, measures=[measure], precision="fp32", batch_size=1, max_items=None, seed=1, environment=ENVIRONMENT
    )

    assert record.measure("perplexity") == measure
    assert record.measure("rouge") is None


def test_a_write_replaces_the_file_and_anyone_may_read_it(tmp_path: Path):
    path = tmp_path / "a.json"
    write_atomic(path, "old")
    write_atomic(path, "new ü\n")

    assert path.read_bytes() == "new ü\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch, step: str, number: int
):
    path = tmp_path / "a.json"
    write_atomic(path, "old")
    monkeypatch.setattr(os if step == "fsync" else Path, step, _fail(number))

    with pytest.raises(DiskFullError, match=str(tmp_path)) as caught:
        write_atomic(path, "new")

    assert "--resume" in str(caught.value.hint)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("fault", "seen"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(5, "Input/output error"), FileError)]
)
def test_a_crash_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch, fault, seen: type):
    path = tmp_path / "a.json"
    write_atomic(path, "old")

    def crash(_descriptor: int) -> None:
        raise fault

    monkeypatch.setattr(os, "fsync", crash)

    with pytest.raises(seen):
        write_atomic(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_encoded_leaves_nothing(tmp_path: Path):
    with pytest.raises(UnicodeEncodeError):
        write_atomic(tmp_path / "a.json", "\ud800")

    assert list(tmp_path.iterdir()) == []


def test_digests_are_sha256(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc") == known
