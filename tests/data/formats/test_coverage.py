"""A row whose answer the template does not write in full is left out; what else it leaves out is a warning."""

import json
from pathlib import Path

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.segments import DroppedRowError, DropReason
from hubtune.data.source import read_source
from hubtune.errors import EmptySplitError
from tests.data.conftest import chat, entry, learnt, written
from tests.tiny_tokenizers import CHATML, WITH_GENERATION

PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As in Llama 3.1 and 3.2: one call alone, in place of the content, and results as JSON.
ONE_CALL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if 'tool_calls' in m %}{% if m.tool_calls | length != 1 %}{{ raise_exception('one call at once') }}{% endif %}"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "{% elif m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content | trim }}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As in Qwen3: the reasoning of the turns after the last question alone, an empty one of the last turn.
THINKING = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% if tools %}# Tools{% for t in tools %}\n{{ t | tojson }}{% endfor %}\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}{% set content = m.content or '' %}"
    "{% set thought = m.reasoning_content or '' %}{% if not thought and '</think>' in content %}"
    "{% set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}<|im_start|>assistant\n"
    "{% if loop.index0 > ns.last and (loop.last or thought) %}<think>\n{{ thought.strip('\n') }}\n</think>\n\n"
    "{% endif %}{{ content.lstrip('\n') }}{% for c in m.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": '
    "{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}{{ c.function.arguments | tojson }}"
    "{% endif %}}\n</tool_call>{% endfor %}<|im_end|>\n{% elif m.role == 'tool' %}<|im_start|>user\n<tool_response>\n"
    "{{ m.content }}\n</tool_response><|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As in Qwen3-Coder: one argument a line.
BY_ARGUMENT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
    "<function={{ c.function.name }}>{% for k, v in c.function.arguments | items %}<parameter={{ k }}>\n{{ v }}\n"
    "</parameter>{% endfor %}</function>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ARGUMENTS = {"drops": 3, "where": 'the "old"\nlock — ö', "dry": False, "parts": [{"name": "bolt", "size": 1.5}]}
CALL = {"id": "call_9", "type": "function", "index": 0, "function": {"name": "oil_it", "arguments": ARGUMENTS}}
TOOL = {"type": "function", "function": {"name": "oil_it", "parameters": {"type": "object"}}}


def called(call: object = CALL, *, content: str | None = None, **more: object) -> dict[str, object]:
    """A row with a question, a call, its result and an answer."""
    asked = chat(("user", "Oil it."))["messages"]
    answer = {"role": "assistant", "content": content, "tool_calls": [call], **more}
    return {
        "messages": [
            *asked,
            answer,
            {"role": "tool", "content": "do\nne"},
            {"role": "assistant", "content": "Oiled."},
        ]
    }


def fault(row: dict[str, object], tokenizer, template: str, **values: object) -> tuple[DropReason, str]:
    with pytest.raises(DroppedRowError) as caught:
        written(row, tokenizer, chat_template=template, **values)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    "template", [CHATML, ONE_CALL, THINKING, BY_ARGUMENT], ids=["chatml", "llama", "qwen", "coder"]
)
def test_a_call_that_the_template_writes_is_learnt(tokenizers, encoded, template: str):
    qwen = tokenizers["qwen"]

    example = encoded(called(), qwen, chat_template=template)

    said = learnt(example, qwen)
    assert all(text in said for text in ("oil_it", "drops", "3", "parts", "bolt", "1.5", "Oiled."))
    assert "call_9" not in said
    assert "done" not in "".join(said.split())
    assert said.count("<|im_end|>") == 2


def test_a_call_that_earlier_turns_write_in_another_way_is_learnt_whole(tokenizers, encoded):
    """The template puts empty reasoning before the last turn alone, so that no turn is how the whole begins."""
    qwen = tokenizers["qwen"]

    said = learnt(encoded(called(content="Let me."), qwen, chat_template=THINKING), qwen)

    assert said.startswith('Let me.<tool_call>\n{"name": "oil_it", ')
    assert "}\n</tool_call><|im_end|>" in said
    assert said.endswith("Oiled.<|im_end|>")


@pytest.mark.parametrize("arguments", ['{"drops": 3}', {"drops": 3}, "{}", {}, '{"where": "the \\"old\\" lock"}'])
def test_arguments_may_be_json_text_or_values(tokenizers, encoded, arguments: object):
    qwen = tokenizers["qwen"]
    row = called({"type": "function", "function": {"name": "oil_it", "arguments": arguments}})

    for template in (CHATML, THINKING):
        assert "oil_it" in learnt(encoded(row, qwen, chat_template=template), qwen)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"tool_calls": [CALL]}, "tool_calls"),
        ({"tool_calls": [{"name": "oil_it", "arguments": {}}]}, "tool_calls"),
        ({"function_call": {"name": "oil_it", "arguments": "{}"}}, "function_call"),
        ({"reasoning_content": "It squeaks."}, "reasoning_content"),
        ({"reasoning": "It squeaks."}, "reasoning"),
        ({"thinking": "It squeaks."}, "thinking"),
        ({"tool_plan": "First oil."}, "tool_plan"),
        ({"images": ["lock.png"]}, "images"),
        ({"audio": {"data": "UklGR"}}, "audio"),
        ({"refusal": "I will not."}, "refusal"),
    ],
)
@pytest.mark.parametrize("template", [PLAIN, WITH_GENERATION], ids=["plain", "generation"])
def test_an_answer_with_a_part_that_the_template_leaves_out_is_left_out(tokenizers, template: str, more, part: str):
    row = chat(("user", "Oil?"), ("assistant", "A virtue."))
    row["messages"][1].update(more)

    assert fault(row, tokenizers["qwen"], template) == (DropReason.NOT_WRITTEN, f"`{part}` of message 2")


def test_a_call_without_content_is_not_learnt_as_nothing(tokenizers):
    assert fault(called(), tokenizers["qwen"], PLAIN) == (DropReason.NOT_WRITTEN, "`tool_calls` of message 2")


def test_a_part_whose_words_stand_in_the_content_by_chance_is_missed_all_the_same(tokenizers):
    row = called({"function": {"name": "oil_it", "arguments": {}}}, content="I call oil_it now.")

    assert fault(row, tokenizers["qwen"], PLAIN) == (DropReason.NOT_WRITTEN, "`tool_calls` of message 2")


@pytest.mark.parametrize("change", ["{{ c.function.name }}", "{{ c.function.arguments | tojson }}"])
def test_half_a_call_is_not_enough(tokenizers, change: str):
    template = CHATML.replace("{{ call.function | tojson }}", change.replace("c.", "call."))

    assert fault(called(), tokenizers["qwen"], template) == (DropReason.NOT_WRITTEN, "`tool_calls` of message 2")


def test_one_of_two_calls_is_not_enough(tokenizers):
    row = called()
    row["messages"][1]["tool_calls"].append({"function": {"name": "dust_it", "arguments": {}}})

    template = CHATML.replace("m.tool_calls", "m.tool_calls").replace("or [] %}", "or [] %}{% if loop.first %}", 1)
    template = template.replace("</tool_call>{% endfor %}", "</tool_call>{% endif %}{% endfor %}")
    assert fault(row, tokenizers["qwen"], template) == (DropReason.NOT_WRITTEN, "`tool_calls` of message 2")
    assert fault(row, tokenizers["qwen"], ONE_CALL) == (DropReason.TEMPLATE, "one call at once")


def test_content_that_a_template_drops_beside_a_call_is_missed(tokenizers):
    row = called(content="Let me see.")

    assert fault(row, tokenizers["qwen"], ONE_CALL) == (DropReason.NOT_WRITTEN, "`content` of message 2")


def test_a_call_outside_of_what_the_template_marks_carries_no_loss_and_is_missed(tokenizers):
    template = (
        "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content or '' }}\n"
        "{% endgeneration %}{{ m.tool_calls | tojson if m.tool_calls }}{% else %}{{ m.content }}\n{% endif %}"
        "{% endfor %}"
    )

    reason, detail = fault(called(), tokenizers["qwen"], template)

    assert (reason, detail) == (
        DropReason.NOT_WRITTEN,
        "`tool_calls` of message 2, which is written where nothing is trained on",
    )


def test_reasoning_is_learnt_where_it_is_written_and_missed_where_an_earlier_turn_loses_it(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    row = chat(("user", "Oil?"), ("assistant", "A virtue."), ("user", "Keys?"), ("assistant", "Four."))
    row["messages"][3]["reasoning_content"] = "Count them."

    assert learnt(encoded(row, qwen, chat_template=THINKING), qwen).endswith(
        "<think>\nCount them.\n</think>\n\nFour.<|im_end|>"
    )
    row["messages"][1]["reasoning_content"] = "By the drop."
    assert fault(row, qwen, THINKING) == (DropReason.NOT_WRITTEN, "`reasoning_content` of message 2")
    said = learnt(encoded(row, qwen, chat_template=THINKING, format="chat", loss_on="completion"), qwen)
    assert said == "<think>\nCount them.\n</think>\n\nFour.<|im_end|>"


def test_reasoning_within_the_content_counts_as_content(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    row = chat(("user", "Keys?"), ("assistant", "<think>\n\nCount them.\n</think>\n\n\nFour."))
    # As in DeepSeek-R1's.
    dropping = PLAIN.replace("m.content or ''", "m.content.split('</think>')[-1]")

    assert "Count them." in learnt(encoded(row, qwen, chat_template=THINKING), qwen)
    assert fault(row, qwen, dropping) == (DropReason.NOT_WRITTEN, "`content` of message 2")


@pytest.mark.parametrize(
    "content",
    [" A  virtue. \n", "a\n\n\nb", "<|im_end|> é 😀", '"quoted" \\ back', "\U000f0000x\U000f0002", "x" * 5000],
)
@pytest.mark.parametrize(
    "written_as",
    ["m.content | trim", "m.content", "m.content | tojson", "m.content.split() | join(' ')", "m.content | indent(2)"],
)
def test_spacing_and_quoting_are_the_template_s_affair(tokenizers, encoded, content: str, written_as: str):
    row = chat(("user", "Oil?"), ("assistant", content), ("user", "K"), ("assistant", content))

    assert encoded(row, tokenizers["qwen"], 20_000, chat_template=PLAIN.replace("m.content or ''", written_as)).learned


@pytest.fixture
def source(tokenizers, tmp_path: Path):
    """Reads rows from a file, by a template."""

    def read(rows: list[dict[str, object]], template: str, **values: object):
        place = tmp_path / "rows.jsonl"
        place.write_text("".join(json.dumps(row) + "\n" for row in rows))
        given = entry(repo=None, path="rows.jsonl", chat_template=template, **values)
        return read_source(PinnedData(given, place), EncodingSettings(tokenizers["qwen"], 500, ScreenConfig()))

    return read


TALK = chat(("system", "Be dry."), ("user", "Oil?"), ("assistant", "A virtue."))


def test_rows_are_counted_by_the_reason_and_the_others_are_kept(source):
    found = source([TALK, called(), TALK, called()], PLAIN)

    assert found.tally.dropped() == {DropReason.NOT_WRITTEN.text: 2}
    assert found.tally.first[DropReason.NOT_WRITTEN] == 2
    assert len(found.kept) == 2
    with pytest.raises(EmptySplitError) as caught:
        source([called()], PLAIN).require_usable(0.5)
    assert "`tool_calls` of message 2" in caught.value.details[0]
    assert "loss_on: completion" in caught.value.details[0]


def test_schemas_that_leave_the_text_unchanged_are_a_warning(source):
    rows = [{**TALK, "tools": [TOOL]}, {**TALK, "tools": [TOOL]}, {**TALK, "tools": []}]

    (warning,) = source(rows, PLAIN).warnings

    assert warning == ("rows.jsonl: the chat template leaves out the tools in 2 rows, so the model is trained without")
    assert source(rows, CHATML).warnings == []


def test_what_others_say_and_the_template_leaves_out_is_a_warning(source):
    template = PLAIN.replace("{% for m in messages %}", "{% for m in messages if m.role in ('user', 'assistant') %}")

    assert source([TALK], template).warnings == [
        "rows.jsonl: the chat template leaves out what the system says in 1 row, so the model is trained without"
    ]


def test_further_fields_of_answers_are_named_once(source):
    rows = [TALK, *(chat(("user", "Oil?"), ("assistant", "A virtue.")) for _ in range(3))]
    for row in rows[1:]:
        row["messages"][1].update({"language": "Zulu", "stamp": 17, "toxic": False})

    (warning,) = source(rows, PLAIN).warnings

    assert "`language`, `stamp`" in warning


def test_columns_beside_conversations_that_no_template_is_given_are_named(source):
    (warning,) = source([{**TALK, "images": ["a.png"], "id": 1}], PLAIN).warnings

    assert warning == "rows.jsonl: not read, since no chat template is given them: the columns `images`"


def test_images_in_a_content_are_named(source):
    parts = [{"type": "text", "text": "What?"}, {"type": "image", "url": "a.png"}]
    row = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": [parts[0]]}]}

    found = source([row], PLAIN)

    assert found.tally.details[DropReason.NOT_TEXT] == "a list of parts: image, text"
