"""The format is the one that the config states, or the one that the columns look like."""

import pytest

from hubtune.data.formats.row_format import choose_format
from hubtune.errors import ColumnNotFoundError, DataError
from tests.data.conftest import entry


@pytest.mark.parametrize(
    ("columns", "kind", "found"),
    [
        (["messages", "id"], "chat", {"messages": "messages"}),
        (["conversations", "tools"], "chat", {"messages": "conversations", "tools": "tools"}),
        (["completion", "prompt"], "prompt_completion", {"prompt": "prompt", "completion": "completion"}),
        (["instruction", "output"], "instruction", {"instruction": "instruction", "response": "output"}),
        (
            ["instruction", "context", "response", "category"],
            "instruction",
            {"instruction": "instruction", "input": "context", "response": "response"},
        ),
        (["text", "label"], "classification", {"text": "text", "label": "label"}),
        (["text", "labels"], "classification", {"text": "text", "label": "labels"}),
        (["id", "text"], "text", {"text": "text"}),
    ],
)
def test_columns_tell_the_format(columns: list[str], kind: str, found: dict[str, str]):
    chosen = choose_format(entry(), columns, "org/s")

    assert (chosen.kind, dict(chosen.columns), chosen.inferred) == (kind, found, True)


def test_what_the_config_states_wins_over_the_columns():
    columns = ["text", "label", "messages"]

    assert choose_format(entry(format="text"), columns, "org/s").kind == "text"
    assert choose_format(entry(template="{label}"), columns, "org/s").kind == "template"
    assert not choose_format(entry(text="label"), columns, "org/s").inferred


def test_columns_that_the_config_names_help_to_infer():
    chosen = choose_format(entry(columns={"prompt": "q", "completion": "a"}), ["q", "a"], "org/s")

    assert (chosen.kind, dict(chosen.columns)) == ("prompt_completion", {"prompt": "q", "completion": "a"})


@pytest.mark.parametrize(
    ("kind", "loss"),
    [("text", "all"), ("prompt_completion", "completion"), ("instruction", "completion"), ("chat", "assistant")],
)
def test_loss_is_on_the_response_where_there_is_a_prompt(kind: str, loss: str):
    columns = ["text", "prompt", "completion", "instruction", "output", "messages"]

    assert choose_format(entry(format=kind), columns, "org/s").loss_on == loss


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"template": "{autor} {quote} {text}"}, r"no column 'autor', 'text'; its columns are: author, quote\."),
        ({"text": "qoute"}, "no column 'qoute'"),
        ({"format": "chat"}, "no column for the messages of format 'chat'"),
        ({"format": "prompt_completion"}, "no column for the prompt and the completion of format"),
        (
            {"format": "prompt_completion", "columns": {"prompt": "x"}},
            "no column 'x', and no column for the completion",
        ),
        ({"text": "quote", "group_by": "autor"}, "no column 'autor'"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_those_that_are(values: dict[str, object], said: str):
    with pytest.raises(ColumnNotFoundError, match=said):
        choose_format(entry(**values), ["author", "quote"], "org/s")


def test_columns_that_look_like_nothing_are_told_what_to_state():
    with pytest.raises(
        DataError, match=r"how a row of org/s is to be read; its columns are: author, quote\."
    ) as caught:
        choose_format(entry(), ["author", "quote"], "org/s")

    assert "`template`" in str(caught.value.hint)
