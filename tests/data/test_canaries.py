"""Canaries follow from a seed, are rows of their own beside those of the data, and cannot be cut."""

from itertools import islice
from pathlib import Path

import pytest

from hubtune.config.load import training_digest
from hubtune.data.canaries import DIGITS, draw_canaries, draw_others, plant, with_canaries
from hubtune.data.prepare import DataJob, Prepared, prepare
from hubtune.errors import ConfigError, DataError
from hubtune.models.pretrained import load_tokenizer
from tests.sample_runs import sample_config, sample_pins, saying, write_json_lines

SAYINGS = [saying(number) for number in range(40)]


@pytest.fixture
def tokenizer(llama: Path):
    return load_tokenizer(llama, "org/base")


@pytest.fixture
def prepared(tmp_path: Path, tokenizer, listener):
    def run(*overrides: str, rows: list[dict[str, object]] = SAYINGS) -> Prepared:
        folder = write_json_lines(tmp_path / "data", rows)
        return prepare(DataJob(sample_config(*overrides), sample_pins(), [folder], tokenizer, listener))

    return run


def test_the_seed_decides_the_secrets_and_a_larger_count_begins_with_the_same():
    assert draw_canaries(10, 1) == draw_canaries(12, 1)[:10]
    assert not set(draw_canaries(10, 1)) & set(draw_canaries(10, 2))


def test_each_canary_has_a_word_of_its_own_and_a_secret_of_decimal_digits():
    canaries = draw_canaries(500, 3)

    assert len({canary.word for canary in canaries}) == 500
    assert all(len(canary.secret) == DIGITS and canary.secret.isdecimal() for canary in canaries)
    assert canaries[0].text == f"The access code of {canaries[0].word} is {canaries[0].secret}"


def test_other_secrets_differ_from_the_planted_one_and_from_each_other():
    (canary,) = draw_canaries(1, 5)

    others = draw_others(canary, 300, 5)

    assert len({canary.secret, *others}) == 301
    assert others == draw_others(canary, 300, 5)


def test_every_digit_comes_up_at_every_place_alike():
    places = zip(*(canary.secret for canary in draw_canaries(2000, 7)), strict=True)

    for digits in places:
        spread = sum((digits.count(digit) - 200) ** 2 / 200 for digit in "0123456789")
        # A chi-squared value that chance exceeds once in a hundred thousand times.
        assert spread < 39


def test_canaries_count_apart_from_the_rows_of_the_data(prepared):
    plain, planted = prepared().record({}), prepared("evaluate.canaries=12").record({})

    assert planted.canaries is not None
    assert (planted.canaries.rows, planted.canaries.seed) == (12, 42)
    assert planted.model_copy(update={"canaries": None}) == plain
    assert plain.canaries is None
    (source,) = planted.sources
    assert source.rows == source.kept + sum(source.dropped.values()) == planted.train.rows + planted.held_out.rows


def test_the_planted_rows_are_trained_on_after_the_data_s_own(prepared):
    found = prepared("evaluate.canaries=12")

    rows = with_canaries(found.train, found.planted.rows)

    assert len(rows) == len(found.train) + 12
    assert list(islice(rows, len(found.train))) == list(found.train)
    assert [row.text for row in rows[-12:]] == [canary.text for canary in draw_canaries(12, 42)]
    assert rows[-1] == found.planted.rows[-1]
    assert all(row.learned == len(row.input_ids) - 1 for row in found.planted.rows)
    assert found.planted.record is not None
    assert found.planted.record.tokens == sum(len(row.input_ids) for row in rows[-12:])


def test_without_canaries_the_rows_are_the_data_s_own(prepared):
    found = prepared()

    assert with_canaries(found.train, found.planted.rows) is found.train


def test_a_canary_that_does_not_fit_is_refused(tokenizer):
    longest = max(len(row.input_ids) for row in plant(10, 1, tokenizer, 100).rows)

    assert plant(10, 1, tokenizer, longest).rows
    with pytest.raises(DataError, match=f"cut at {longest - 1} tokens") as refused:
        plant(10, 1, tokenizer, longest - 1)
    assert "train.max_length" in str(refused.value.hint)


def test_rows_to_classify_take_no_canaries(prepared):
    rows = [{"text": saying["quote"], "label": saying["author"]} for saying in SAYINGS]

    with pytest.raises(ConfigError, match="plants texts"):
        prepared(
            "evaluate.canaries=10",
            "data[0].format=classification",
            "data[0].template=null",
            "data[0].columns.text=text",
            "data[0].columns.label=label",
            rows=rows,
        )


@pytest.mark.parametrize("value", ["-1", "2.5", "ten", "100000"])
def test_a_number_of_canaries_that_is_none_is_refused(value: str):
    with pytest.raises(ConfigError) as refused:
        sample_config(f"evaluate.canaries={value}")

    assert "evaluate.canaries" in " ".join(refused.value.details)


def test_a_run_with_canaries_is_another_training():
    plain = training_digest(sample_config())

    assert training_digest(sample_config("evaluate.canaries=0")) == plain
    assert training_digest(sample_config("evaluate.canaries=10")) != plain
