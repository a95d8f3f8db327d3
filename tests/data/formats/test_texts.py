"""Rows of text, templates, prompts and instructions say what their columns say, and know what the response is."""

import pytest

from hubtune.data.formats.row_format import choose_format, write_text
from hubtune.data.segments import DroppedRowError, DropReason, WrittenRow
from tests.data.conftest import entry


def write(row: dict[str, object], **values: object) -> WrittenRow:
    return write_text(row, choose_format(entry(**values), list(row), "org/s"))


def responses(row: WrittenRow) -> str:
    return "".join(segment.text for segment in row.segments if segment.response)


def test_a_text_is_learnt_as_it_is():
    row = write({"quote": " Yes.\n"}, text="quote")

    assert (row.text, responses(row), row.prompt) == (" Yes.\n", " Yes.\n", None)


def test_a_template_is_filled_and_learnt_whole():
    row = write({"who": "Ann", "what": "Yes.", "tags": None}, template="Quote by {who}: {what}!")

    assert row.text == responses(row) == "Quote by Ann: Yes.!"
    assert row.learn_all
    assert row.prompt == "Quote by Ann:"


def test_of_a_template_s_completion_the_last_field_and_what_follows_are_the_response():
    row = write({"who": "Ann", "what": "Yes."}, template="Quote by {who}: {what}!", loss_on="completion")

    # With the space before it, which is part of its first token.
    assert (row.text, responses(row)) == ("Quote by Ann: Yes.!", " Yes.!")
    assert not row.learn_all


def test_a_field_that_stands_twice_is_the_response_where_it_stands_last():
    row = write({"a": "x", "b": "y"}, template="{b}{a}{b}", loss_on="completion")

    assert (row.text, responses(row)) == ("yxy", "y")


def test_numbers_are_written_and_falsy_values_are_not_missing():
    assert write({"n": 0, "ok": False}, template="{n} {ok}").text == "0 false"


def test_braces_in_the_data_stay_text():
    row = write({"quote": "{quote.__class__} {0} }{"}, template="Q: {quote} {{kept}}")

    assert row.text == "Q: {quote.__class__} {0} }{ {kept}"


def test_a_template_of_one_field_has_no_prompt():
    assert write({"quote": "Yes."}, template="Quote: {quote}").prompt is None


def test_prompt_and_completion_follow_each_other_as_they_are():
    row = write({"prompt": "Oil is", "completion": " a virtue."})

    assert (row.text, responses(row), row.prompt) == ("Oil is a virtue.", " a virtue.", "Oil is")
    assert not row.learn_all


def test_a_template_may_put_words_between_prompt_and_completion():
    row = write({"q": "Oil?", "a": "A virtue."}, format="prompt_completion", template="Q: {q}\nA: {a}")

    assert (row.text, responses(row), row.prompt) == ("Q: Oil?\nA: A virtue.", " A virtue.", "Q: Oil?\nA:")


ALPACA = "Write a response that appropriately completes the request.\n\n### Instruction:\nSay it.\n\n"


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": ""}, {"input": " "}])
def test_an_instruction_without_input_is_written_in_alpaca_s_words(given: dict[str, object]):
    row = write({"instruction": "Say it.", **given, "output": "Yes."})

    assert row.text.startswith("Below is an instruction that describes a task. ")
    assert row.text.endswith(ALPACA + "### Response:\nYes.")
    assert responses(row) == "Yes."


def test_an_instruction_with_input_shows_it():
    row = write({"instruction": "Say it.", "context": "Oil", "response": "Yes."})

    assert "paired with an input" in row.text
    assert row.text.endswith(ALPACA + "### Input:\nOil\n\n### Response:\nYes.")
    assert row.prompt == row.text.removesuffix("Yes.")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": None, "completion": "x"}, DropReason.NULL),
        ({"prompt": " ", "completion": "x"}, DropReason.BLANK),
        ({"prompt": 3, "completion": "x"}, DropReason.NOT_TEXT),
        ({"prompt": "x", "completion": ["x"]}, DropReason.NOT_TEXT),
        ({"prompt": "x", "completion": ""}, DropReason.NO_RESPONSE),
        ({"prompt": "x", "completion": "\n\t"}, DropReason.NO_RESPONSE),
        ({"instruction": "x", "output": "  "}, DropReason.NO_RESPONSE),
        ({"instruction": "x", "input": 3, "output": "x"}, DropReason.NOT_TEXT),
        ({"instruction": "x", "input": "a\0", "output": "x"}, DropReason.NUL),
        ({"text": "a\0b"}, DropReason.NUL),
        ({"text": "half \ud83d"}, DropReason.SURROGATE),
        ({"text": "x" * 10_000_000}, DropReason.HUGE),
        ({"text": 3}, DropReason.NOT_TEXT),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_the_reason(row: dict[str, object], reason: DropReason):
    with pytest.raises(DroppedRowError) as caught:
        write(row)

    assert caught.value.reason is reason


def test_a_null_in_a_column_that_is_not_used_does_no_harm():
    assert write({"a": "x", "b": None}, template="{a}").text == "x"
