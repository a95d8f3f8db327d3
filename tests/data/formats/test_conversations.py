"""A conversation that cannot be learned from is refused with the reason."""

import pytest

from hubtune.data.formats.conversations import read_conversation
from hubtune.data.segments import DroppedRowError, DropReason

COLUMNS = {"messages": "messages", "tools": "tools"}
USER, ANSWER = {"role": "user", "content": "Oil?"}, {"role": "assistant", "content": "A virtue."}
SYSTEM = {"role": "system", "content": "Be dry."}


def read(messages: object, tools: object = None):
    return read_conversation({"messages": messages, "tools": tools}, COLUMNS)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, DropReason.NULL),
        ([], DropReason.MESSAGES),
        ("user: Oil?", DropReason.MESSAGES),
        (["Oil?"], DropReason.MESSAGES),
        ([{"content": "Oil?"}], DropReason.MESSAGES),
        ([{"role": 3, "content": "Oil?"}], DropReason.MESSAGES),
        ([{**USER, "role": "narrator"}, ANSWER], DropReason.ROLE),
        ([{**USER, "content": None}, ANSWER], DropReason.NULL),
        ([{**USER, "content": [{"type": "image"}]}, ANSWER], DropReason.NOT_TEXT),
        ([USER, {**ANSWER, "content": " \n"}], DropReason.NO_RESPONSE),
        ([{**USER, "content": "a\0"}, ANSWER], DropReason.NUL),
        ([USER, {**ANSWER, "content": "\ud83d"}], DropReason.SURROGATE),
        ([{**USER, "content": "a" * 1_000_001}, ANSWER], DropReason.HUGE),
        ([USER], DropReason.ORDER),
        ([ANSWER], DropReason.ORDER),
        ([SYSTEM], DropReason.ORDER),
        ([SYSTEM, ANSWER], DropReason.ORDER),
        ([USER, SYSTEM, ANSWER], DropReason.ORDER),
        ([USER, USER, ANSWER], DropReason.ORDER),
        ([USER, ANSWER, ANSWER], DropReason.ORDER),
        ([USER, ANSWER, USER], DropReason.ORDER),
        ([{**USER, "role": "tool"}, ANSWER], DropReason.ORDER),
        ([USER, {**ANSWER, "tool_calls": [{"name": "a\0"}]}], DropReason.NUL),
    ],
)
def test_a_conversation_that_cannot_be_learnt_from_is_refused(messages: object, reason: DropReason):
    with pytest.raises(DroppedRowError) as caught:
        read(messages)

    assert caught.value.reason is reason


def test_a_role_out_of_order_is_told_with_the_one_before_it():
    with pytest.raises(DroppedRowError) as caught:
        read([USER, ANSWER, ANSWER])

    assert caught.value.detail == "assistant after assistant"


@pytest.mark.parametrize(
    "tools",
    ["not JSON", {"name": "oil"}, ["oil"], '{"name": "oil"}', 3, "[" * 3000, '[{"a":' * 3000, f"[{'9' * 5000}]"],
    ids=lambda tools: str(tools)[:20],
)
def test_tools_that_are_no_list_of_schemas_are_refused(tools: object):
    with pytest.raises(DroppedRowError) as caught:
        read([USER, ANSWER], tools)

    assert caught.value.reason is DropReason.TOOLS


@pytest.mark.parametrize("tools", [None, [], "", " "])
def test_no_tools_are_none(tools: object):
    assert read([USER, ANSWER], tools).tools is None


def test_nulls_that_a_column_of_mappings_adds_are_left_out():
    call = {"function": {"name": "oil", "arguments": {"drops": None, "can": 2}}, "id": None}

    found = read([{**USER, "tool_calls": None, "name": None}, {**ANSWER, "tool_calls": [call]}])

    assert found.messages[0] == USER
    assert found.messages[1]["tool_calls"] == [{"function": {"name": "oil", "arguments": {"can": 2}}}]
