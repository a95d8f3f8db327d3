"""Encoded rows are taken from the cache where nothing that decides on them has changed, and while they are whole."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from hubtune.config.data import DataConfig, ScreenConfig
from hubtune.data import cache
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.source import Source, read_source
from hubtune.data.store import ROWS_FILE
from hubtune.errors import ScreeningError
from hubtune.records.base import Pin
from tests.data.conftest import entry
from tests.listener import Listener
from tests.sample_runs import write_json_lines
from tests.tiny_tokenizers import KINDS

PIN = Pin(repo="org/s", type="dataset", requested="main", commit="1" * 40)
ROWS = [{"text": f"Row {number}."} for number in range(20)] + [{"text": None}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_json_lines(tmp_path / "data", ROWS)


@pytest.fixture
def read(folder: Path, tokenizers, listener: Listener):
    def read() -> Source:
        listener.steps.clear()
        return read_source(
            PinnedData(entry(), folder), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig()), progress=listener
        )

    return read


def entries() -> set[Path]:
    root = cache.cache_root()
    return set(root.iterdir()) if root.is_dir() else set()


@pytest.fixture
def made(read) -> tuple[Source, Path]:
    """Rows that were read, and their entry in the cache."""
    before = entries()
    source = read()
    (folder,) = entries() - before
    return source, folder


def test_rows_that_were_encoded_before_are_taken_from_the_cache_and_that_is_said(made, read, listener: Listener):
    again = read()

    assert listener.said == ["org/s: its 21 rows are already encoded and are read from the cache"]
    assert listener.steps == {}
    assert again.kept == made[0].kept
    assert (again.rows, again.tally, again.fingerprint) == (made[0].rows, made[0].tally, made[0].fingerprint)


def test_only_the_user_may_read_an_entry(made):
    assert stat.S_IMODE(made[1].stat().st_mode) == 0o700


def _cut(rows: Path) -> None:
    os.truncate(rows, rows.stat().st_size - 1)


def _flip(rows: Path) -> None:
    content = bytearray(rows.read_bytes())
    content[len(content) // 2] ^= 1
    rows.write_bytes(content)


def _lose_record(rows: Path) -> None:
    (rows.parent / "rows.json").unlink()


def _spoil_record(rows: Path) -> None:
    (rows.parent / "rows.json").write_text("{")


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink, _lose_record, _spoil_record])
def test_a_damaged_entry_is_made_anew(made, read, listener: Listener, damage):
    damage(made[1] / ROWS_FILE)

    again = read()

    assert listener.steps == {"Reading org/s": [21, 21]}
    assert again.kept == made[0].kept
    read()
    assert listener.steps == {}


def test_rows_that_the_config_refuses_are_not_kept(tmp_path: Path, tokenizers):
    rows = [*ROWS, {"text": "export TOKEN=" + "hf" + "_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"}]
    folder = write_json_lines(tmp_path / "secret", rows)
    before = entries()

    with pytest.raises(ScreeningError):
        read_source(PinnedData(entry(), folder), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig()))

    assert entries() == before


def _key(folder: Path, **changes: object) -> str:
    values = {
        "entry": entry(text="text"),
        "pin": PIN,
        "place": folder,
        "tokenizer": KINDS["gpt2"](),
        "max_length": 60,
        "screen": ScreenConfig(),
        "seed": 1,
    }
    given = {**values, **changes}
    data = PinnedData(given["entry"], given["place"], given["pin"])
    return cache.key_of(data, EncodingSettings(given["tokenizer"], given["max_length"], given["screen"], given["seed"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": entry(text="text", group_by="n")},
        {"entry": entry(text="text", split="train[:5]")},
        {"entry": entry(template="{text}")},
        {"pin": PIN.model_copy(update={"commit": "2" * 40})},
        {"tokenizer": KINDS["llama"]()},
        {"max_length": 61},
        {"screen": ScreenConfig(email="redact")},
        {"screen": ScreenConfig(phone_regions=["DE"])},
        {"seed": 2},
    ],
    ids=str,
)
def test_whatever_decides_on_the_rows_is_part_of_the_key(folder: Path, changes: dict[str, object]):
    assert _key(folder, **changes) != _key(folder)


def test_a_chat_template_of_the_tokenizer_is_part_of_the_key(folder: Path):
    tokenizer = KINDS["gpt2"]()
    tokenizer.chat_template = "{{ messages }}"
    assert _key(folder, tokenizer=tokenizer) != _key(folder)


def test_a_file_that_was_changed_by_hand_has_another_key(folder: Path):
    before = _key(folder)
    (folder / "train.jsonl").write_text('{"text": "Other."}\n')
    assert _key(folder) != before


@pytest.mark.parametrize(
    "changes",
    [{"entry": entry(text="text", weight=2)}, {"screen": ScreenConfig(duplicates="drop")}, {"tokenizer": None}],
    ids=["weight", "copies", "used tokenizer"],
)
def test_what_comes_after_the_encoding_is_not(folder: Path, changes: dict[str, object]):
    if "tokenizer" in changes:
        changes["tokenizer"] = KINDS["gpt2"]()
        changes["tokenizer"]("Cut and filled.", truncation=True, max_length=3)
    assert _key(folder, **changes) == _key(folder)


def test_a_local_file_is_known_by_its_content_wherever_it_lies(tmp_path: Path):
    keys = set()
    for name in ("one", "two"):
        path = write_json_lines(tmp_path / name, ROWS) / "train.jsonl"
        local = DataConfig.model_validate({"path": str(path), "text": "text"})
        keys.add(_key(path, entry=local, pin=None))
    assert len(keys) == 1


def _age(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in [*folder.glob("*"), folder]:
        os.utime(path, (then, then))


def test_entries_that_are_not_used_for_a_month_go_and_those_that_are_stay(made, folder, tokenizers):
    def other(length: int) -> Path:
        before = entries()
        read_source(PinnedData(entry(), folder), EncodingSettings(tokenizers["gpt2"], length, ScreenConfig()))
        (found,) = entries() - before
        return found

    stale, used, left_by_a_crash = other(61), other(62), cache.cache_root() / "new-crashed"
    left_by_a_crash.mkdir()
    for entry_, days in ((stale, 31), (used, 29), (left_by_a_crash, 2)):
        _age(entry_, days)

    other(63)

    assert {stale, left_by_a_crash} & entries() == set()
    assert {made[1], used} <= entries()


def test_using_an_entry_makes_it_young_again(made, read):
    _age(made[1], 29)
    read()
    assert time.time() - (made[1] / "rows.json").stat().st_mtime < 86_400


def test_two_processes_that_make_the_same_entry_both_get_it(folder: Path, tokenizers):
    barrier, found = threading.Barrier(2), []

    def read() -> None:
        barrier.wait()
        found.append(read_source(PinnedData(entry(), folder), EncodingSettings(tokenizers["gpt2"], 60, ScreenConfig())))

    before = entries()
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0].kept == found[1].kept
    assert len(found[0].kept) == 20
    assert len(entries() - before) == 1
