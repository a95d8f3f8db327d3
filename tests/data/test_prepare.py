"""The data stage gives the same examples for the same inputs, and counts every row once."""

from pathlib import Path

import pytest

from hubtune.data.prepare import DataJob, Prepared, prepare
from hubtune.data.tokenization import Example
from hubtune.errors import DataError, EmptySplitError, RecordError
from hubtune.models.pretrained import load_tokenizer
from hubtune.records.base import PinSet
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
        return prepare(DataJob(config, pins, folders, tokenizer, listener, context))

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


def test_validation_rows_are_neither_trained_on_nor_held_out_and_move_no_held_out_row(prepare_rows):
    twins = [{**row, "quote": row["quote"].upper() + "!"} for row in SAYINGS[:20]]
    share = ("evaluate.validation=0.3",)
    plain, chosen = prepare_rows(SAYINGS, twins), prepare_rows(SAYINGS, twins, overrides=share)

    texts = [
        {row.text.lower().strip(".!") for row in rows} for rows in (chosen.train, chosen.held_out, chosen.validation)
    ]
    assert all(texts)
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    assert _texts(chosen.held_out) == _texts(plain.held_out)
    assert _texts(chosen.train) | _texts(chosen.validation) == _texts(plain.train)
    assert (plain.watched, chosen.watched) == (plain.held_out, chosen.validation)
    assert plain.record({}).validation is None
    assert chosen.record({}).validation.rows == len(chosen.validation)


def test_a_share_of_validation_that_no_row_falls_into_is_one_row(prepare_rows):
    prepared = prepare_rows(SAYINGS, overrides=("evaluate.validation=0.0000001",))
    assert len(prepared.validation) == 1


def test_validation_rows_that_leave_nothing_to_train_on_are_refused(prepare_rows):
    with pytest.raises(EmptySplitError, match="held out") as caught:
        prepare_rows(SAYINGS[:2], overrides=("evaluate.holdout=0.5", "evaluate.validation=0.1"))
    assert "evaluate.validation" in caught.value.hint


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


def test_the_reading_is_reported_row_by_row_to_its_end(prepare_rows, listener: Listener):
    prepare_rows(SAYINGS[:10], SAYINGS[10:])

    assert listener.steps == {"Reading org/sayings": [30, 30]}


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


def _texts(examples: list[Example]) -> set[str]:
    return {example.text for example in examples}


def test_a_held_out_split_of_the_data_set_s_own_is_measured_on_and_its_copies_are_not_trained_on(
    tmp_path: Path, tokenizer, listener: Listener
):
    write_json_lines(tmp_path / "data", SAYINGS[:20], "train.jsonl")
    copy = {**SAYINGS[3], "quote": SAYINGS[3]["quote"].upper() + "!"}
    write_json_lines(tmp_path / "data", [*SAYINGS[20:25], copy], "test.jsonl")
    config = sample_config("data[0].held_out_split=test")

    prepared = prepare(DataJob(config, sample_pins(), [tmp_path / "data"], tokenizer, listener))

    record = prepared.record({})
    assert len(prepared.held_out) == 6
    assert len(prepared.train) == 19
    assert "a baker: {quote}".format(**SAYINGS[3]) not in _texts(prepared.train)
    (source,) = record.sources
    assert source.dropped == {"the same text is held out": 1}
    assert source.first_dropped == {"the same text is held out": 4}
    assert source.rows == 26 == source.kept + 1
    assert record.split_method == "the dataset's own split"

    config = sample_config("data[0].held_out_split=test", "evaluate.validation=0.2")
    chosen = prepare(DataJob(config, sample_pins(), [tmp_path / "data"], tokenizer, listener))
    assert _texts(chosen.held_out) == _texts(prepared.held_out)
    assert _texts(chosen.train) | _texts(chosen.validation) == _texts(prepared.train)
    assert 0 < len(chosen.validation) < 10


def test_rows_of_a_group_are_never_on_both_sides_nor_is_a_text_that_two_groups_share(prepare_rows):
    rows = [{"author": f"author {number % 12}", "quote": f"Saying {number}."} for number in range(120)]
    rows += [{"author": "Author 1!", "quote": "One more."}, *({**row, "author": "nobody"} for row in rows[:24])]
    overrides = ("data[0].group_by=author", "data[0].text=quote", "data[0].template=null", "evaluate.holdout=0.4")

    prepared = prepare_rows(rows, overrides=overrides)

    held, trained = _texts(prepared.held_out), _texts(prepared.train)
    author = {row["quote"]: row["author"] for row in rows[:121]}
    assert {author[text].lower().strip("!") for text in held} & {
        author[text].lower().strip("!") for text in trained
    } <= {"nobody"}
    assert held
    assert not held & trained
    (source,) = prepared.record({}).sources
    assert source.rows == source.kept + sum(source.dropped.values())
    assert prepared.record({}).split_method.startswith("sha256 of the seed and the group's value")

    for seed in range(4):
        more = ("evaluate.validation=0.3", f"evaluate.seed={seed}", "screen.contamination=report")
        chosen = prepare_rows(rows, overrides=(*overrides, *more))
        texts = [_texts(part) for part in (chosen.train, chosen.held_out, chosen.validation)]
        assert all(texts)
        assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
        (source,) = chosen.record({}).sources
        assert source.kept == sum(len(part) for part in (chosen.train, chosen.held_out, chosen.validation))


def test_rows_added_later_move_no_group(prepare_rows):
    rows = [{"author": f"author {number % 12}", "quote": f"Saying {number}."} for number in range(120)]
    overrides = ("data[0].group_by=author", "evaluate.holdout=0.4")

    before = prepare_rows(rows[:60], overrides=overrides)
    after = prepare_rows(rows, overrides=overrides)

    assert _texts(before.held_out) <= _texts(after.held_out)
    assert _texts(before.train) <= _texts(after.train)


def test_interleaved_data_sets_are_trained_on_by_weight_and_the_record_says_how(prepare_rows):
    overrides = ("rows.mix=interleave", "data[0].weight=3", "evaluate.holdout=0.2")

    prepared = prepare_rows(SAYINGS[:20], SAYINGS[20:], overrides=overrides)

    record = prepared.record({})
    assert record.mix is not None
    assert (record.mix.stop, record.mix.weights) == ("first_exhausted", [3, 3])
    assert [source.trained for source in record.sources] == [
        sum(example.text in _side(rows) for example in prepared.train) for rows in (SAYINGS[:20], SAYINGS[20:])
    ]
    assert record.train.rows + record.train.left_out + record.held_out.rows == 40


def _side(rows: list[dict[str, str]]) -> set[str]:
    return {"{author}: {quote}".format_map(row) for row in rows}


def test_rows_repeated_to_use_all_up_are_counted_as_often_as_they_are_drawn(prepare_rows):
    prepared = prepare_rows(SAYINGS[:10], SAYINGS[10:], overrides=("rows.mix=interleave", "rows.stop=all_exhausted"))

    record = prepared.record({})
    assert record.train.left_out == 0
    assert record.train.rows > len(_texts(prepared.train)) == 40 - record.held_out.rows


LABELLED = "data[0]={repo: org/sayings, format: classification}"


def test_data_to_classify_is_recorded_with_its_labels_and_their_balance(prepare_rows):
    rows = [{"text": f"Saying {number}.", "label": ["bad", "good", "good"][number % 3]} for number in range(30)]

    prepared = prepare_rows(rows, overrides=(LABELLED,))

    record = prepared.record({})
    assert record.labels == ["bad", "good"]
    assert not record.several_labels
    assert record.train.classes["bad"] + record.held_out.classes["bad"] == 10
    assert record.train.classes["good"] + record.held_out.classes["good"] == 20
    assert {tuple(example.labels) for example in prepared.train} == {(0,), (1,)}


def test_data_sets_with_different_labels_are_refused_with_both(prepare_rows):
    one = [{"text": f"Saying {number}.", "label": "abc"[number % 2]} for number in range(8)]
    two = [{"text": f"Saying {number}.", "label": "abc"[1 + number % 2]} for number in range(8)]

    with pytest.raises(DataError, match="have different labels") as caught:
        prepare_rows(one, two, overrides=(LABELLED,))

    assert list(caught.value.details) == ["org/sayings: a, b", "org/sayings: b, c"]


def test_a_format_that_the_columns_decide_on_is_said(prepare_rows, listener: Listener):
    rows = [{"prompt": f"Say {number}.", "completion": f" Saying {number}."} for number in range(10)]

    record = prepare_rows(rows, overrides=("data[0].template=null",)).record({})

    assert listener.said == [
        "org/sayings: no format is stated, and the columns (prompt, completion) look like prompt_completion"
    ]
    (source,) = record.sources
    assert (source.format, source.inferred, source.loss_on) == ("prompt_completion", True, "completion")
    assert 0 < record.train.learnt < record.train.tokens


def test_left_out_rows_are_warned_of(prepare_rows, listener: Listener):
    prepare_rows([*SAYINGS, {"author": None, "quote": "x"}], overrides=("rows.max_dropped=0.1",))

    (warning,) = listener.warned
    assert warning.startswith("org/sayings: dropped 1 row, first row 41: a field is null; ")
