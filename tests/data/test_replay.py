"""Rows of an earlier task are split as they were, and held-out rows of either task are never learned from."""

from collections import Counter
from pathlib import Path

import pytest

from hubtune.data.prepare import DataJob, Prepared, prepare
from hubtune.errors import ConfigError, EmptySplitError
from hubtune.models.pretrained import load_tokenizer
from hubtune.records.base import PinSet
from tests.listener import Listener
from tests.sample_runs import sample_config, sample_pins, saying, write_json_lines

OLD, NEW = [saying(number) for number in range(40)], [saying(number) for number in range(40, 70)]
NAMED = 'earlier.data=[{repo: org/before, template: "{author}: {quote}"}]'


@pytest.fixture
def prepare_both(tmp_path: Path, llama: Path, listener: Listener):
    tokenizer = load_tokenizer(llama, "org/base")

    def run(new: list[dict], old: list[dict] | None, *overrides: str) -> Prepared:
        places = [write_json_lines(tmp_path / "new", new)]
        pins, named = sample_pins(), ()
        if old is not None:
            places.append(write_json_lines(tmp_path / "old", old))
            pins = PinSet(base=pins.base, data=pins.data, earlier=pins.data)
            named = (NAMED,)
        return prepare(DataJob(sample_config(*named, *overrides), pins, places, tokenizer, listener))

    return run


def _texts(rows) -> set[str]:
    return {row.text for row in rows}


def test_the_earlier_rows_are_those_that_a_run_of_their_own_held_out(prepare_both):
    own = prepare_both(OLD, None)

    rows = prepare_both(NEW, OLD, "earlier.holdout=0.2", "earlier.ewc=1", "earlier.replay=0.9").earlier.rows

    assert _texts(rows.held_out) == _texts(own.held_out)
    assert _texts(rows.fisher) == _texts(rows.replayed) == _texts(own.train)
    assert rows.left_out == 0


def test_a_share_of_the_rows_to_train_on_is_drawn_anew_only_when_all_were_drawn(prepare_both):
    prepared = prepare_both(NEW, OLD, "earlier.replay=0.75")
    record = prepared.record({}).earlier

    replayed = prepared.earlier.rows.replayed
    assert len(replayed) == 3 * len(prepared.train) == record.replayed.rows
    assert len(prepared.train_with_replay) == 4 * len(prepared.train)
    assert [row.text for row in prepared.train_with_replay] == [row.text for row in [*prepared.train, *replayed]]
    assert list(prepared.train_with_replay.lengths) == [len(row.input_ids) for row in prepared.train_with_replay]
    times = Counter(row.text for row in replayed)
    assert len(times) == record.train.rows
    assert max(times.values()) - min(times.values()) <= 1
    assert record.replayed.tokens == sum(len(row.input_ids) for row in replayed)


def test_the_seed_decides_what_is_drawn(prepare_both):
    drawn = [
        [row.text for row in prepare_both(NEW, OLD, "earlier.replay=0.3", f"rows.seed={seed}").earlier.rows.replayed]
        for seed in (1, 1, 2)
    ]

    assert drawn[0] == drawn[1] != drawn[2]


def test_without_replay_and_consolidation_nothing_is_drawn(prepare_both):
    prepared = prepare_both(NEW, OLD)

    assert prepared.train_with_replay is prepared.train
    assert (prepared.record({}).earlier.replayed.rows, prepared.record({}).earlier.matter) == (0, 0)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_rows_on_the_other_side_of_the_new_split_are_neither_learnt_nor_measured(prepare_both, share: float):
    """With a larger or a smaller share than the new task's, the same rows fall on other sides."""
    options = (f"earlier.holdout={share}", "evaluate.holdout=0.3", "earlier.replay=0.8", "earlier.ewc=1")
    prepared = prepare_both(OLD, OLD[:-1], *options)
    rows = prepared.earlier.rows

    assert not _texts(prepared.train_with_replay) & _texts(rows.held_out)
    assert not _texts(rows.replayed) & _texts(prepared.held_out)
    assert not _texts(rows.fisher) & (_texts(prepared.held_out) | _texts(rows.held_out))
    assert rows.left_out == prepared.record({}).earlier.left_out > 0


def test_an_earlier_task_whose_held_out_rows_are_all_learnt_now_is_refused(prepare_both):
    with pytest.raises(EmptySplitError, match="forgetting cannot be measured") as caught:
        prepare_both(OLD, OLD[:3], "evaluate.holdout=0.01", "earlier.holdout=0.01")

    assert "earlier.holdout" in str(caught.value.hint)


def test_earlier_rows_to_classify_are_refused(prepare_both):
    rows = [{"text": f"row {number}", "label": "yn"[number % 2]} for number in range(20)]

    with pytest.raises(ConfigError, match="to be classified"):
        prepare_both(NEW, rows, "earlier.data=[{repo: org/before}]")


def test_earlier_rows_that_differ_from_the_recorded_ones_are_told(prepare_both):
    record = prepare_both(NEW, OLD).record({})

    assert prepare_both(NEW, OLD).record({}) == record
    assert prepare_both(NEW, OLD[:-1]).record({}) != record
