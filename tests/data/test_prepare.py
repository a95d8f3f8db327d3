"""The data stage gives the same examples for the same inputs, and counts every row once."""

from pathlib import Path

import pytest

from hubtune.data.prepare import Prepared, prepare
from hubtune.errors import EmptySplitError, RecordError
from hubtune.models.load import load_tokenizer
from hubtune.records.pins import PinSet
from tests.listener import Listener
from tests.sample_runs import DATA_COMMIT, DATA_REPO, sample_config, sample_pins, saying, write_json_lines

SAYINGS = [saying(number) for number in range(40)]


@pytest.fixture
def tokenizer(llama: Path):
    return load_tokenizer(llama, "org/base")


@pytest.fixture
def prepare_rows(tmp_path: Path, tokenizer, listener: Listener):
    count = 0

    def run(
        *data_sets: list[dict[str, object]], overrides: tuple[str, ...] = (), context: int | None = None
    ) -> Prepared:
        nonlocal count
        folders = []
        for rows in data_sets:
            count += 1
            folders.append(write_json_lines(tmp_path / f"data-{count}", rows))
        config, pins = sample_config(*overrides), sample_pins()
        if len(data_sets) > 1:
            config = config.model_copy(update={"data": config.data * len(data_sets)})
            pins = PinSet(base=pins.base, data=pins.data * len(data_sets))
        return prepare(config, pins, folders, tokenizer, listener, context=context)

    return run


def test_every_row_is_trained_on_held_out_left_out_or_dropped(prepare_rows):
    rows = [*SAYINGS, {"author": None, "quote": "x"}, {"author": "x", "quote": "  "}, SAYINGS[0]]

    prepared = prepare_rows(rows, overrides=("evaluate.max_items=3", "rows.max_dropped=0.1"))
    record = prepared.record({})

    (source,) = record.sources
    assert source.rows == len(rows) == source.kept + sum(source.dropped.values())
    assert source.dropped == {"a field is null": 1, "a field is blank": 1}
    assert record.held_out.rows == 3
    assert record.train.rows + record.held_out.rows + record.held_out.left_out == source.kept


def test_the_record_counts_what_the_examples_hold(prepare_rows):
    prepared = prepare_rows(SAYINGS, overrides=("train.max_length=16",))
    record = prepared.record({})

    assert record.train.tokens == sum(len(example.input_ids) for example in prepared.train)
    assert record.held_out.tokens == sum(len(example.input_ids) for example in prepared.held_out)
    assert record.train.truncated == sum(example.truncated for example in prepared.train) > 0
    assert max(len(example.input_ids) for example in [*prepared.train, *prepared.held_out]) == 16


def test_the_record_names_repository_commit_and_template(prepare_rows):
    (source,) = prepare_rows(SAYINGS).record({}).sources

    assert (source.repo, source.commit) == (DATA_REPO, DATA_COMMIT)
    assert (source.template, source.format) == ("{author}: {quote}", "template")
    assert source.prompt == "a baker:"


def test_preparing_again_gives_the_same_examples(prepare_rows):
    first, second = prepare_rows(SAYINGS), prepare_rows(SAYINGS)

    assert first == second
    second.check(first.record({"config": "1" * 64}))


@pytest.mark.parametrize(
    "rows",
    [
        [{**SAYINGS[0], "quote": "Another saying."}, *SAYINGS[1:]],
        SAYINGS[1:],
        [SAYINGS[1], SAYINGS[0], *SAYINGS[2:]],
    ],
    ids=["changed", "lost", "reordered"],
)
def test_other_rows_than_the_recorded_ones_are_refused(prepare_rows, rows):
    record = prepare_rows(SAYINGS).record({})

    with pytest.raises(RecordError, match="differs from what"):
        prepare_rows(rows).check(record)


def test_held_out_rows_are_never_trained_on(prepare_rows):
    twins = [{**row, "quote": row["quote"].upper() + "!"} for row in SAYINGS]

    prepared = prepare_rows(SAYINGS, twins)

    held = {example.text.lower().strip(".!") for example in prepared.held_out}
    trained = {example.text.lower().strip(".!") for example in prepared.train}
    assert held
    assert not held & trained


def test_the_measured_rows_are_a_seeded_sample_of_the_held_out_ones(prepare_rows):
    every = {example.text for example in prepare_rows(SAYINGS, overrides=("evaluate.holdout=0.5",)).held_out}
    few = prepare_rows(SAYINGS, overrides=("evaluate.holdout=0.5", "evaluate.max_items=5"))

    assert len(few.held_out) == 5
    assert {example.text for example in few.held_out} < every
    assert len(few.train) + 5 + few.held_out_left_out == len(SAYINGS)


def test_several_data_sets_are_read_in_the_order_of_the_config(prepare_rows):
    prepared = prepare_rows(SAYINGS[:10], SAYINGS[10:])

    assert [source.kept for source in prepared.sources] == [10, 30]
    assert len(prepared.train) + len(prepared.held_out) == 40


def test_one_distinct_row_leaves_nothing_to_measure_on_and_is_refused(prepare_rows):
    with pytest.raises(EmptySplitError, match="same text"):
        prepare_rows([SAYINGS[0], {**SAYINGS[0], "quote": SAYINGS[0]["quote"].upper()}])


def test_a_data_set_whose_rows_are_all_dropped_is_refused_with_the_reasons(prepare_rows):
    with pytest.raises(EmptySplitError, match="No row of org/sayings") as caught:
        prepare_rows([{"author": "", "quote": "x"}, {"author": "y", "quote": " "}])

    (line,) = caught.value.details
    assert line.startswith("2 rows, first row 1: a field is blank; ")


def test_the_reading_is_reported_to_its_end(prepare_rows, listener: Listener):
    prepare_rows(SAYINGS[:10], SAYINGS[10:])

    assert listener.steps == {"Reading the data": [2, 2]}


@pytest.mark.parametrize(("context", "length", "warnings"), [(16, 16, 1), (64, 64, 0), (4096, 64, 0), (None, 64, 0)])
def test_rows_are_cut_to_what_the_model_can_read_and_a_shorter_limit_is_warned_of(
    prepare_rows, listener: Listener, context: int | None, length: int, warnings: int
):
    prepared = prepare_rows([*SAYINGS, {"author": "x", "quote": "and on " * 80}], context=context)

    assert max(len(example.input_ids) for example in [*prepared.train, *prepared.held_out]) == length
    assert prepared.record({}).max_length == length
    assert len(listener.warned) == warnings


def test_the_languages_that_the_card_states_are_recorded(prepare_rows, tmp_path: Path):
    write_json_lines(tmp_path / "data-1", [])
    (tmp_path / "data-1" / "README.md").write_text("---\nlanguage: [en, de]\n---\n")

    assert prepare_rows(SAYINGS).record({}).sources[0].languages == ["en", "de"]
