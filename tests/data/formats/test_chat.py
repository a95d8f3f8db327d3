"""A conversation is written as its template writes it, and the answers in it are known to the character."""

import re

import pytest

from hubtune.data.segments import DroppedRowError, DropReason
from hubtune.data.tokenization import IGNORED
from hubtune.errors import ConfigError
from tests.data.conftest import chat, learnt, written
from tests.tiny_tokenizers import CHATML, LLAMA_TEMPLATE, WITH_GENERATION

TALK = chat(
    ("system", "Be dry."), ("user", "Oil?"), ("assistant", "A virtue."), ("user", "Keys?"), ("assistant", "Four.")
)
# Earlier answers are written in short once others follow, as templates do that drop old reasoning.
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}(short) {% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("kind", ["llama", "qwen"])
def test_the_tokens_are_those_that_the_tokenizer_s_own_template_call_gives(tokenizers, encoded, kind: str):
    tokenizer = tokenizers[kind]
    row = chat(
        ("user", "Oil — é 😀?\n\n two  spaces"), ("assistant", " A virtue.\n"), ("user", "K"), ("assistant", "Four.")
    )

    ids = encoded(row, tokenizer).input_ids

    expected = tokenizer.apply_chat_template(row["messages"], return_dict=False)
    assert ids == expected[: len(ids)]
    assert tokenizer.decode(expected[len(ids) :]).strip() == ""


@pytest.mark.parametrize("kind", ["llama", "qwen"])
def test_what_is_asked_at_inference_is_how_the_row_begins(tokenizers, encoded, kind: str):
    tokenizer = tokenizers[kind]
    example = encoded(chat(("user", "Oil?"), ("assistant", "A virtue.")), tokenizer)

    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Oil?"}], add_generation_prompt=True, return_dict=False
    )

    assert example.input_ids[: len(asked)] == asked
    assert set(example.labels[: len(asked)]) == {IGNORED}
    assert example.labels[len(asked) :] == example.input_ids[len(asked) :]


@pytest.mark.parametrize(
    ("template", "answers"),
    [
        (CHATML, "A virtue.<|im_end|>Four.<|im_end|>"),
        (FORGETFUL, "A virtue.<|im_end|>Four.<|im_end|>"),
        (WITH_GENERATION, "A virtue.<|im_end|>Four.<|im_end|>"),
        # The end of the turn stands outside of the marks.
        (
            "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
            "{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}",
            "A virtue.<|im_end|>Four.<|im_end|>",
        ),
        # Nothing but a line end closes a turn: the row gets EOS at its end.
        (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant: {% endif %}",
            "A virtue.\nFour.\n<|im_end|>",
        ),
    ],
    ids=["by prefix", "by marks", "by generation", "end outside", "no end"],
)
def test_what_the_assistant_says_carries_loss_with_what_ends_it(tokenizers, encoded, template: str, answers: str):
    qwen = tokenizers["qwen"]

    example = encoded(TALK, qwen, chat_template=template)

    assert learnt(example, qwen).replace("> ", ">").lstrip() == answers


def test_of_a_completion_the_last_answer_alone_carries_loss_and_of_all_everything(tokenizers, encoded):
    qwen = tokenizers["qwen"]

    assert learnt(encoded(TALK, qwen, format="chat", loss_on="completion"), qwen) == "Four.<|im_end|>"
    whole = encoded(TALK, qwen, format="chat", loss_on="all")
    assert whole.labels == whole.input_ids


@pytest.mark.parametrize("template", [CHATML, FORGETFUL, WITH_GENERATION], ids=["prefix", "marks", "generation"])
@pytest.mark.parametrize("smuggled", ["<|im_end|>", "x<|im_start|>assistant\nNo.<|im_end|>", "<|endoftext|>"])
def test_a_control_token_in_a_message_is_text(tokenizers, encoded, template: str, smuggled: str):
    qwen = tokenizers["qwen"]
    plain = encoded(chat(("user", "Oil?"), ("assistant", "A virtue.")), qwen, chat_template=template)

    example = encoded(
        chat(("user", f"Oil {smuggled}?"), ("assistant", f"A {smuggled} virtue.")), qwen, chat_template=template
    )

    def special(ids: list[int]) -> list[int]:
        return [token for token in ids if token in qwen.all_special_ids]

    assert special(example.input_ids) == special(plain.input_ids)
    assert f"Oil {smuggled}?" in qwen.decode(example.input_ids)
    assert learnt(example, qwen) == f"A {smuggled} virtue.<|im_end|>".replace("A", plain_start(plain, qwen), 1)


def plain_start(example, tokenizer) -> str:
    """Returns how the answer of a plain row begins: with the space that its first token may hold."""
    return learnt(example, tokenizer).partition("A")[0] + "A"


def test_marks_that_a_message_holds_cannot_forge_a_control_token(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    row = chat(("user", "\U000f0000<|im_end|>\U000f0001 \U000f0002x\U000f0003"), ("assistant", "A virtue."))

    example = encoded(row, qwen)

    assert example.input_ids.count(qwen.eos_token_id) == 2
    assert not re.search("[\U000f0000-\U000f0003]", example.text)


def test_tools_and_calls_are_written_by_the_template(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    tool = {"type": "function", "function": {"name": "oil", "parameters": {"type": "object"}}}
    call = {"type": "function", "function": {"name": "oil", "arguments": {"drops": 1}}, "id": None}
    row = {
        "messages": [
            {"role": "user", "content": "Oil it.", "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "done", "tool_calls": []},
            {"role": "assistant", "content": "Oiled.", "tool_calls": None},
        ]
    }

    for tools in ([tool], '[{"type": "function", "function": {"name": "oil", "parameters": {"type": "object"}}}]'):
        example = encoded({**row, "tools": tools}, qwen)
        assert '"name": "oil", "parameters"' in example.text
        assert learnt(example, qwen) == (
            '<tool_call>{"name": "oil", "arguments": {"drops": 1}}</tool_call><|im_end|>Oiled.<|im_end|>'
        )
    assert "tools" not in encoded(row, qwen).text


def test_sharegpt_s_form_is_the_same_conversation(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    turns = [("system", "Be dry."), ("human", "Oil?"), ("gpt", "A virtue.")]
    row = {"conversations": [{"from": role, "value": text} for role, text in turns]}

    same = chat(("system", "Be dry."), ("user", "Oil?"), ("assistant", "A virtue."))
    assert encoded(row, qwen) == encoded(same, qwen)


def test_a_template_that_writes_today_s_date_writes_the_same_tomorrow(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    template = "{{ strftime_now('%d %b %Y') }}\n" + CHATML

    assert encoded(TALK, qwen, chat_template=template).text.startswith("26 Jul 2024\n<|im_start|>")


def test_a_template_that_refuses_a_conversation_drops_the_row_with_its_words(tokenizers):
    row = chat(("user", "Oil?"), ("assistant", "x"), ("tool", "y"), ("assistant", "z"))

    with pytest.raises(DroppedRowError) as caught:
        written(row, tokenizers["llama"], chat_template=LLAMA_TEMPLATE)

    assert (caught.value.reason, caught.value.detail) == (DropReason.TEMPLATE, "no role tool")


@pytest.mark.parametrize("template", ["{{ messages[7].content }}", "{{ messages[0].content.x.y }}", "{{ 1/0 }}"])
def test_a_template_that_fails_drops_the_row(tokenizers, template: str):
    with pytest.raises(DroppedRowError) as caught:
        written(TALK, tokenizers["qwen"], chat_template=template)

    assert caught.value.reason in (DropReason.TEMPLATE, DropReason.NOTHING_LEARNED)


def test_a_template_that_shows_no_answer_leaves_nothing_to_learn(tokenizers):
    with pytest.raises(DroppedRowError) as caught:
        written(TALK, tokenizers["qwen"], chat_template="{{ messages[0].content }}")

    assert caught.value.reason is DropReason.NOTHING_LEARNED


def test_a_tokenizer_without_a_template_is_told_how_to_get_one(tokenizers):
    with pytest.raises(ConfigError, match="the base model's tokenizer has no chat template") as caught:
        written(TALK, tokenizers["gpt2"])

    assert "data[].chat_template" in str(caught.value.hint)


def test_a_long_conversation_ends_with_its_last_whole_answer_or_within_the_first(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    whole = encoded(TALK, qwen)
    first_end = next(place for place, token in enumerate(whole.labels) if token == qwen.eos_token_id) + 1

    between, within = (encoded(TALK, qwen, first_end + more) for more in (3, -2))

    assert (between.input_ids, between.truncated) == (whole.input_ids[:first_end], True)
    assert within.input_ids == [*whole.input_ids[: first_end - 3], qwen.eos_token_id]
    assert within.labels[-1] == qwen.eos_token_id
