"""Rows are encoded in several processes as in one: the same rows in the same order, and none is lost."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.formats.row_format import choose_format
from hubtune.data.row_batches import Batch, Encoded, EncodingSettings, RowEncoder, encode_all, worker_count
from hubtune.data.screening.screen import RowScreen
from hubtune.data.segments import DropReason, DropTally, WritingNotes
from hubtune.data.source import Source, read_source
from hubtune.data.store import SCHEMA
from hubtune.errors import DataError, ModelError
from tests.data.conftest import entry
from tests.sample_runs import write_json_lines

GOOD = {"prompt": "Oil is", "completion": " a virtue."}
BAD = [
    {"prompt": None, "completion": "x"},
    {"prompt": "x", "completion": ""},
    {"prompt": "a\0", "completion": "x"},
    {"prompt": "Oil is a virtue by the drop. " * 20, "completion": "x"},
]
MAIL = {"prompt": "Write to", "completion": " clerk@example.com."}
ROW = st.sampled_from([GOOD, GOOD, GOOD, *BAD, MAIL])


def read(folder: Path, rows: list[dict[str, object]], tokenizer, workers: int) -> Source:
    write_json_lines(folder, rows)
    screen = ScreenConfig(email="drop")
    return read_source(PinnedData(entry(), folder), EncodingSettings(tokenizer, 64, screen), workers=workers)


def test_three_workers_give_what_one_gives(tmp_path: Path, tokenizers):
    rows = [[GOOD, *BAD, MAIL][number % 6] | {"n": number} for number in range(2345)]

    one, three = (read(tmp_path / str(count), rows, tokenizers["gpt2"], count) for count in (1, 3))

    assert three.kept == one.kept
    assert three.numbers.tolist() == one.numbers.tolist()
    assert three.tally == one.tally
    assert three.screen.counts == one.screen.counts
    assert three.fingerprint == one.fingerprint
    assert len(one.kept) + one.tally.counts.total() == one.rows == 2345
    assert one.tally.counts[DropReason.EMAIL] > 0


def test_every_row_is_kept_or_dropped_whatever_the_rows(tmp_path: Path, tokenizers, trials: Callable[[int, int], int]):
    @settings(max_examples=trials(15, 200))
    @given(st.lists(st.one_of(ROW, ROW.map(lambda row: row | {"more": 1}), st.none()), min_size=1, max_size=40))
    def check(rows: list[dict[str, object] | None]) -> None:
        # A line that is no JSON object in place of None.
        _check(tmp_path, rows, tokenizers["gpt2"], 1)

    check()


@pytest.mark.full_trial
def test_every_row_is_kept_or_dropped_by_two_workers(tmp_path: Path, tokenizers):
    """It starts two processes for each example; the sample is the trial of three workers."""

    @settings(max_examples=20)
    @given(st.randoms(use_true_random=False))
    def check(drawn) -> None:
        rows = drawn.choices([GOOD, *BAD, MAIL, None], k=drawn.randint(1001, 1500))
        _check(tmp_path, rows, tokenizers["gpt2"], 2)

    check()


def _check(folder: Path, rows: list[dict[str, object] | None], tokenizer, workers: int) -> None:
    path = write_json_lines(folder, [row or {} for row in rows]) / "train.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line if row else '{cut'}\n" for line, row in zip(lines, rows, strict=True)))
    if not any(rows):
        return
    source = read_source(
        PinnedData(entry(), folder), EncodingSettings(tokenizer, 64, ScreenConfig(email="drop")), workers=workers
    )
    assert source.rows == len(rows) == len(source.kept) + source.tally.counts.total()
    assert [rows[number - 1] for number in source.numbers] == [row for row in rows if row and row["prompt"] == "Oil is"]


class Other(RowEncoder):
    """Encodes nothing; the second batch is its end."""

    def encode(self, batch: Batch) -> Encoded:
        if batch.first == 2:
            self.end()
        empty = SCHEMA.empty_table().to_batches() or [None]
        return Encoded(os.getpid(), empty[0], DropTally(), RowScreen.make(ScreenConfig()), WritingNotes())

    def end(self) -> None:
        """What happens at the second batch."""


class Dying(Other):
    def end(self) -> None:
        os._exit(9)


class Raising(Other):
    def end(self) -> None:
        raise ModelError("The tokenizer cannot do this.", hint="Use another.")


def other(kind: type[Other]) -> Other:
    chosen = choose_format(entry(), ["prompt", "completion"], "org/s")
    return kind("org/s", chosen, None, None, None, EncodingSettings(None, 64, ScreenConfig(), 1))


BATCHES = [Batch([], number, held_out=False) for number in range(1, 200)]


def test_a_worker_that_dies_is_told_and_nothing_hangs():
    with pytest.raises(DataError, match="ended before its work was done") as caught:
        list(encode_all(other(Dying), BATCHES, 2))

    assert "rows.workers=1" in str(caught.value.hint)
    assert _ended()


def test_an_error_in_a_worker_is_the_error_of_the_run():
    with pytest.raises(ModelError, match="cannot do this") as caught:
        list(encode_all(other(Raising), BATCHES, 2))

    assert caught.value.hint == "Use another."
    assert _ended()


def test_workers_end_when_nobody_wants_more_and_few_batches_wait_meanwhile():
    taken = []

    def batches():
        for batch in BATCHES:
            taken.append(batch)
            yield batch

    encoded = encode_all(other(Other), batches(), 2)
    first = next(encoded)
    assert first.lines != os.getpid()
    assert len(taken) < 6
    encoded.close()

    assert _ended()


def test_rows_that_may_be_few_are_begun_without_other_processes():
    encoded = encode_all(other(Other), [Batch([None] * 10, number, held_out=False) for number in (3, 4, 5)], 2, 15)

    assert [next(encoded).lines for _ in range(2)] == [os.getpid()] * 2
    assert multiprocessing.active_children() == []
    assert next(encoded).lines != os.getpid()
    assert list(encoded) == []


def _ended() -> bool:
    # A pool's own thread waits for its processes; who waits for one at the same time may be told that it still runs.
    for thread in threading.enumerate():
        if type(thread).__module__ == "concurrent.futures.process":
            thread.join(20)
    return multiprocessing.active_children() == []


def test_no_more_processes_are_started_than_there_are_cores():
    assert worker_count(64, 500) <= (os.cpu_count() or 1)
    assert worker_count(1, 500) == 1


def test_few_rows_are_not_worth_a_process():
    assert worker_count("auto", 500) == 1
    assert worker_count(2, 500) == min(2, os.cpu_count() or 1)
    assert 1 <= worker_count("auto", 1_000_000) <= 8
    assert worker_count("auto", None) == worker_count("auto", 1_000_000)
