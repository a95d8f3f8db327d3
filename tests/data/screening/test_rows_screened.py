"""What a run does with rows that hold personal data or repeat others, from the rows to the record."""

from pathlib import Path

import pytest

from hubtune.data.prepare import DataJob, Prepared, prepare
from hubtune.errors import ScreeningError
from hubtune.models.pretrained import load_tokenizer
from hubtune.records.data import FindingRecord
from tests.listener import Listener
from tests.sample_runs import sample_config, sample_pins, saying, write_json_lines

SAYINGS = [saying(number) for number in range(40)]
MAIL = {"author": "a clerk", "quote": "Write to clerk@example.com or deputy@example.com today."}
CARD = {"author": "a guest", "quote": "The card was 4111 1111 1111 1111, I think."}
KEY = {"author": "an admin", "quote": "export TOKEN=" + "hf" + "_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"}
LONG = " ".join(f"word{number}" for number in range(60))


@pytest.fixture
def screened(tmp_path: Path, llama: Path, listener: Listener):
    tokenizer = load_tokenizer(llama, "org/base")

    def run(rows: list[dict[str, object]], *overrides: str) -> Prepared:
        folder = write_json_lines(tmp_path / "data", rows)
        prepared = prepare(DataJob(sample_config(*overrides), sample_pins(), [folder], tokenizer, listener))
        (source,) = prepared.sources
        assert source.kept + sum(source.dropped.values()) == source.rows == len(rows)
        return prepared

    return run


def finding(prepared: Prepared, kind: str) -> FindingRecord:
    record = prepared.record({}).screen
    assert record is not None
    return next(found for found in record.findings if found.kind == kind)


def texts(prepared: Prepared) -> str:
    return "\n".join(example.text for example in [*prepared.train, *prepared.held_out])


def test_reported_rows_are_counted_and_stay_as_they_are(screened):
    prepared = screened([*SAYINGS, MAIL])
    found = finding(prepared, "email")

    assert (found.policy, found.rows, found.hits, found.dropped, found.redacted) == ("report", 1, 2, 0, 0)
    assert found.per_thousand == round(2000 / 41, 3)
    assert MAIL["quote"] in texts(prepared)


def test_dropped_rows_are_counted_by_reason(screened):
    prepared = screened([*SAYINGS, MAIL, {**MAIL, "author": "another"}], "screen.email=drop")

    assert prepared.sources[0].dropped == {"it holds an e-mail address": 2}
    assert prepared.sources[0].first_dropped == {"it holds an e-mail address": 41}
    assert finding(prepared, "email").dropped == 2
    assert "example.com" not in texts(prepared)


def test_rows_dropped_on_purpose_are_not_held_against_the_data(screened):
    prepared = screened([*SAYINGS[:10], *[{**MAIL, "author": str(n)} for n in range(10)]], "screen.email=drop")
    assert prepared.sources[0].kept == 10


def test_redacted_rows_hold_a_placeholder_where_the_value_was(screened):
    prepared = screened([*SAYINGS, CARD])

    assert "The card was [CARD_NUMBER], I think." in texts(prepared)
    assert (finding(prepared, "card_number").redacted, finding(prepared, "card_number").policy) == (1, "redact")


def test_a_number_in_a_column_of_numbers_is_redacted_too(screened):
    prepared = screened([{**row, "quote": 4111111111111111 + number} for number, row in enumerate(SAYINGS)])
    assert "4111111111111111" not in texts(prepared)


def test_every_part_of_a_conversation_is_redacted(screened, tmp_path):
    row = {"messages": [{"role": "user", "content": CARD["quote"]}, {"role": "assistant", "content": CARD["quote"]}]}
    rows = [
        row,
        *[{"messages": [*row["messages"][:1], {"role": "assistant", "content": f"No {n}."}]} for n in range(9)],
    ]
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    prepared = screened(
        rows,
        "data[0].template=null",
        "data[0].format=chat",
        f"data[0].chat_template='{template}'",
        "train.max_length=256",
    )
    assert finding(prepared, "card_number").hits == 11
    assert "4111" not in texts(prepared)


def test_a_secret_stops_the_run_and_is_not_repeated(screened, listener):
    with pytest.raises(ScreeningError) as caught:
        screened([*SAYINGS, KEY, KEY])

    said = "\n".join([caught.value.message, *caught.value.details, caught.value.hint or "", str(listener.__dict__)])
    assert "2 rows hold a secret, such as a token, a key or a password, first row 41" in said
    assert "screen.secret: redact" in said
    assert "AbCdEf" not in said
    assert caught.value.exit_code == 25


def test_records_and_messages_never_hold_a_value(screened, listener):
    # The prompt of the first row would be shown.
    rows = [{"author": "boss@example.com", "quote": "Hello."}, {"author": CARD["quote"], "quote": "Hi."}, MAIL, KEY]
    prepared = screened([*rows, *SAYINGS], "screen.secret=redact")
    said = prepared.record({}).model_dump_json() + str(listener.__dict__)
    assert not any(value in said for value in ("boss@", "clerk@", "4111", "AbCdEf"))
    assert "an e-mail address" in said


def test_duplicates_are_counted_on_both_sides_and_stay(screened):
    prepared = screened([*SAYINGS, *SAYINGS])
    assert finding(prepared, "duplicates").rows == 40
    assert prepared.sources[0].kept == 80


def test_of_duplicates_the_first_stays(screened):
    prepared = screened([*SAYINGS, *SAYINGS], "screen.duplicates=drop")
    assert prepared.sources[0].dropped == {"it is a duplicate of an earlier row": 40}
    assert prepared.sources[0].first_dropped == {"it is a duplicate of an earlier row": 41}
    assert len(prepared.train) + len(prepared.held_out) == 40


def test_of_near_duplicates_the_first_stays(screened):
    rows = [{"author": f"a {number}", "quote": f"{LONG} end{number}"} for number in range(8)]
    prepared = screened([*SAYINGS, *rows], "screen.near_duplicates=drop", "screen.contamination=report")
    kept = sum(LONG in example.text for example in [*prepared.train, *prepared.held_out])
    assert finding(prepared, "near_duplicates").dropped == 8 - kept
    # One at most on each side of the split.
    assert kept in (1, 2)


def leaking() -> list[dict[str, object]]:
    """Rows in pairs that share a run of words, most of which fall on both sides of the split."""
    return [
        {"author": f"{side} {pair}", "quote": f"{' '.join(f'w{pair}x{n}' for n in range(14))} {side * 9} {pair}"}
        for pair in range(20)
        for side in ("left ", "right ")
    ]


def test_rows_to_train_on_that_repeat_held_out_ones_are_left_out(screened):
    reported = screened([*SAYINGS, *leaking()], "screen.contamination=report")
    prepared = screened([*SAYINGS, *leaking()])
    found = finding(prepared, "contamination")

    assert found.rows > 0
    assert found.dropped == found.hits == len(reported.train) - len(prepared.train)
    assert [example.text for example in prepared.held_out] == [example.text for example in reported.held_out]
    assert finding(reported, "contamination").rows == found.rows
    assert prepared.sources[0].dropped == {"it repeats part of a held-out row": found.dropped}


def test_the_words_of_a_template_are_no_contamination(screened):
    prompt = "data[0].template='Below is a saying that someone once made in the course of a very long life: {quote}'"
    prepared = screened(SAYINGS, prompt)
    assert finding(prepared, "contamination").hits == 0


@pytest.mark.parametrize("kind", ["duplicates", "contamination"])
def test_repeats_can_stop_the_run(screened, kind: str):
    with pytest.raises(ScreeningError, match="repeat others") as caught:
        screened([*leaking(), *leaking()], f"screen.{kind}=refuse")
    assert "first row" in caught.value.details[0]
    assert "of org/sayings" in caught.value.details[0]
    assert f"screen.{kind}: drop" in (caught.value.hint or "")


def test_the_record_has_an_entry_for_what_was_not_found(screened):
    record = screened(SAYINGS).record({}).screen
    assert record is not None
    assert [found.hits for found in record.findings] == [0] * 9
    assert (record.rows, record.phone_regions) == (40, ["US", "GB"])
