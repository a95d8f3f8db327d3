"""A dataset with bad rows: each is left out and counted, with the first row's number and what to do about it."""

from pathlib import Path

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.segments import DropReason
from hubtune.data.source import Source, read_source
from hubtune.errors import ColumnNotFoundError, DataError, EmptySplitError, TooManyDroppedError
from tests.data.conftest import entry
from tests.sample_runs import write_json_lines
from tests.tiny_tokenizers import CHATML

GOOD = {"prompt": "Oil is", "completion": " a virtue."}
LONG = "Oil is a virtue by the drop. " * 20


@pytest.fixture
def read(tmp_path: Path, tokenizers):
    def read(rows: list[dict[str, object]], kind: str = "gpt2", length: int = 64, **values: object) -> Source:
        write_json_lines(tmp_path, rows)
        return read_source(
            PinnedData(entry(**values), tmp_path), EncodingSettings(tokenizers[kind], length, ScreenConfig())
        )

    return read


def test_every_bad_row_is_counted_with_the_first_of_its_kind(read):
    rows = [GOOD] * 20
    bad = {
        3: {"prompt": None, "completion": "x"},
        5: {"prompt": "x", "completion": ""},
        6: {"prompt": LONG, "completion": "x"},
        8: {"prompt": "a\0", "completion": "x"},
        9: {"prompt": "x"},
        11: {"prompt": LONG, "completion": "y"},
        14: {"prompt": "x" * 10_000_000, "completion": "y"},
    }
    for number, row in bad.items():
        rows[number - 1] = row

    source = read(rows)

    assert source.tally.first == {
        DropReason.NULL: 3,
        DropReason.NO_RESPONSE: 5,
        DropReason.NO_ROOM: 6,
        DropReason.NUL: 8,
        DropReason.HUGE: 14,
    }
    assert source.tally.counts == {
        DropReason.NULL: 2,
        DropReason.NO_RESPONSE: 1,
        DropReason.NO_ROOM: 2,
        DropReason.NUL: 1,
        DropReason.HUGE: 1,
    }
    assert source.rows == 20 == len(source.kept) + source.tally.counts.total()
    assert source.numbers.tolist() == [number for number in range(1, 21) if number not in bad]


def test_values_of_other_kinds_and_lines_that_are_not_json_are_lost_alone(tmp_path: Path, tokenizers):
    lines = [
        '{"text": "Oil."}',
        '{"text": 3}',
        "{cut",
        '{"text": "half \\ud83d"}',
        '{"other": "x"}',
        '{"text": "Key."}',
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")

    source = read_source(
        PinnedData(entry(text="text"), tmp_path), EncodingSettings(tokenizers["gpt2"], 64, ScreenConfig())
    )

    assert source.tally.first == {
        DropReason.NOT_TEXT: 2,
        DropReason.NOT_JSON: 3,
        DropReason.SURROGATE: 4,
        DropReason.NULL: 5,
    }
    assert source.numbers.tolist() == [1, 6]
    assert source.rows == 6


def test_too_many_bad_rows_stop_with_the_count_the_first_row_and_a_fix_of_each(read):
    source = read([GOOD] * 97 + [{"prompt": "x", "completion": None}] * 2 + [{"prompt": "", "completion": "x"}])

    with pytest.raises(
        TooManyDroppedError, match=r"3 of 100 rows of org/s cannot be used \(3\.0%\); the run allows 1"
    ) as (caught):
        source.require_usable(0.01)

    assert [line.partition("; ")[0] for line in caught.value.details] == [
        "2 rows, first row 98: a field is null",
        "1 row, first row 100: a field is blank",
    ]
    assert all(line.partition("; ")[2] for line in caught.value.details)
    assert "rows.max_dropped" in str(caught.value.hint)
    source.require_usable(0.03)


def test_every_reason_has_words_and_a_fix_of_its_own():
    assert len({reason.text for reason in DropReason}) == len(DropReason)
    assert all(reason.fix for reason in DropReason)


def test_rows_none_of_which_teaches_anything_are_refused(read):
    with pytest.raises(EmptySplitError, match="No row of org/s can be used"):
        read([{"prompt": LONG, "completion": "x"}]).require_usable(1)


def test_a_conversation_s_fault_is_counted_with_what_is_known_of_it(read):
    good = {"messages": [{"role": "user", "content": "Oil?"}, {"role": "assistant", "content": "Yes."}]}
    bad = {"messages": [{"role": "user", "content": "Oil?"}, {"role": "user", "content": "Well?"}]}

    source = read([good, bad, good], "qwen")

    (line,) = source.tally.lines()
    assert line.startswith("1 row, first row 2: the roles are out of order (user after user); alternate user and")


def test_an_unknown_label_is_counted(read):
    rows = [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}, {"text": "c", "label": "ugly"}]

    source = read(rows, labels=["good", "bad"])

    assert source.tally.first == {DropReason.LABEL: 3}
    assert [example.labels for example in source.kept] == [[0], [1]]


def test_the_class_names_of_a_parquet_file_are_its_labels(tmp_path: Path, tokenizers):
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    rows.to_parquet(tmp_path / "train.parquet")

    source = read_source(PinnedData(entry(), tmp_path), EncodingSettings(tokenizers["bert"], 64, ScreenConfig()))

    assert source.labels is not None
    assert source.labels.names == ("no", "yes")
    assert [example.labels for example in source.kept] == [[1], [0]]
    assert source.tally.first == {DropReason.LABEL: 3}


def test_a_pair_of_texts_is_encoded_as_the_tokenizer_puts_pairs(read, tokenizers):
    bert = tokenizers["bert"]

    source = read(
        [{"text": "Oil", "then": "drop [SEP]", "label": n % 2} for n in range(2)], "bert", columns={"text_pair": "then"}
    )

    example = source.kept[0]
    assert example.input_ids.count(bert.sep_token_id) == 2
    assert example.input_ids[0] == bert.cls_token_id
    assert example.token_type_ids is not None
    assert set(example.token_type_ids) == {0, 1}


def test_one_label_is_nothing_to_classify(read):
    with pytest.raises(DataError, match="holds 1 label; to classify takes two"):
        read([{"text": "a", "label": "only"}])


@pytest.mark.parametrize("value", [["a", "b"], {"text": "a"}], ids=["list", "mapping"])
def test_a_column_that_is_neither_text_nor_number_is_refused(read, value: object):
    with pytest.raises(DataError, match="The column 'quote' of org/s holds"):
        read([{"author": "Ann", "quote": value}], template="{author}: {quote}")


def test_a_column_of_lists_that_is_not_used_is_no_hindrance(read):
    assert len(read([{"quote": "Yes.", "tags": ["a"]}], text="quote").kept) == 1


def test_a_held_out_split_without_the_columns_is_refused(tmp_path: Path, tokenizers):
    write_json_lines(tmp_path, [{"text": "a"}], "train.jsonl")
    write_json_lines(tmp_path, [{"quote": "a"}], "test.jsonl")

    with pytest.raises((DataError, ColumnNotFoundError)):
        read_source(
            PinnedData(entry(text="text", held_out_split="test"), tmp_path),
            EncodingSettings(tokenizers["gpt2"], 64, ScreenConfig()),
        )


def test_prompts_that_end_with_a_space_or_touch_the_completion_are_warned_of(read):
    source = read([{"prompt": "Oil ", "completion": "x"}, {"prompt": "Oil", "completion": "x"}, GOOD])

    spaces, touching = source.warnings
    assert "in 1 rows the prompt ends with a space" in spaces
    assert "in 1 rows nothing stands between prompt and completion" in touching


def test_the_prompt_to_try_the_tuned_model_with_is_the_first_that_was_read(read):
    assert read([{"prompt": None, "completion": "x"}, GOOD]).prompt == "Oil is"
    talk = {"messages": [{"role": "user", "content": "Oil?"}, {"role": "assistant", "content": "Yes."}]}
    assert read([talk], chat_template=CHATML).prompt == "Oil?"


def test_the_fingerprint_tells_where_one_text_ends_and_the_next_begins(read):
    fingerprints = {
        read([{"t": text} for text in texts], text="t").fingerprint for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"])
    }

    assert len(fingerprints) == 3
