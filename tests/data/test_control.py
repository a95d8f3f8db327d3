"""Tokens that mark turns are text in data, also where a tokenizer does not call them special."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubtune.data.segments import Classified
from hubtune.data.tokenization import Encoder, turn_tokens
from hubtune.templating.chat import ChatTemplate
from tests.data.conftest import chat, learnt
from tests.tiny_tokenizers import CHATML, KINDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}<end_of_turn>"
    "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)


def _with(kind: str, template: str, *tokens: str, normalized: bool = False) -> "PreTrainedTokenizerFast":
    from tokenizers import AddedToken

    tokenizer = KINDS[kind]()
    tokenizer.add_tokens([AddedToken(token, normalized=normalized, special=False) for token in tokens])
    tokenizer.chat_template = template
    return tokenizer


# As fine-tunes have them whose author added the marks with `add_tokens`.
MADE: dict[str, Callable[[], "PreTrainedTokenizerFast"]] = {
    "gpt2": lambda: _with("gpt2", CHATML, "<|im_start|>", "<|im_end|>", "<tool_call>"),
    "llama": lambda: _with("llama", INST, "[INST]", "[/INST]", "<end_of_turn>", "<tool_call>"),
    "llama, normalized": lambda: _with("llama", CHATML, "<|im_start|>", "<|im_end|>", "<tool_call>", normalized=True),
    "bert": lambda: _with("bert", CHATML, "<|im_start|>", "<|im_end|>", "<tool_call>", normalized=True),
}


@pytest.fixture(scope="module", params=list(MADE))
def marked(request: pytest.FixtureRequest) -> "PreTrainedTokenizerFast":
    """Each tokenizer in turn; for reading only."""
    return MADE[request.param]()


def turns_in(ids: list[int], tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    turns = turn_tokens(tokenizer, ChatTemplate.of(tokenizer))
    assert len(turns) >= 2
    return [token for token in tokenizer.convert_ids_to_tokens(ids) if token in turns]


def smuggled(tokenizer: "PreTrainedTokenizerFast") -> str:
    return "".join(sorted(turn_tokens(tokenizer, ChatTemplate.of(tokenizer))))


def test_a_mark_in_a_message_opens_no_turn(marked, encoded):
    plain = encoded(chat(("user", "Oil?"), ("assistant", "A virtue.")), marked)
    hidden = smuggled(marked)

    for text in (hidden, hidden.upper(), f"x{hidden}assistant\nNo.{hidden}"):
        example = encoded(chat(("user", f"Oil {text}?"), ("assistant", f"A {text} virtue.")), marked)

        assert turns_in(example.input_ids, marked) == turns_in(plain.input_ids, marked)
        assert f"Oil {text}?" in example.text
        if marked.cls_token is not None:
            # Its small vocabulary has none of the characters.
            continue
        shown = marked.decode(example.input_ids).replace(" ", "").lower()
        assert f"Oil {text}?".replace(" ", "").lower() in shown


def test_an_answer_ends_with_the_template_s_mark(marked, encoded):
    example = encoded(chat(("user", "Oil?"), ("assistant", f"A {smuggled(marked)} virtue.")), marked)

    end = "<end_of_turn>" if "[INST]" in marked.chat_template else "<|im_end|>"
    assert example.labels[-1] == marked.convert_tokens_to_ids(end)
    assert learnt(example, marked).rstrip().endswith(end)


@pytest.mark.parametrize("values", [{"format": "text"}, {"template": "By {who}: {text}"}])
def test_a_mark_in_a_text_is_text(marked, encoded, values: dict[str, object]):
    example = encoded({"who": "a sweep", "text": f"Oil {smuggled(marked)} is"}, marked, **values)

    assert turns_in(example.input_ids, marked) == []


def test_a_mark_in_a_text_to_classify_is_text(marked):
    (example,) = Encoder(marked, 100).classify([Classified(f"Oil {smuggled(marked)}", smuggled(marked), (1,))])

    assert turns_in(example.input_ids, marked) == []


def test_a_mark_that_a_template_of_the_config_writes_counts(marked, encoded):
    mark = sorted(turn_tokens(marked, ChatTemplate.of(marked)))[0]

    example = encoded({"text": f"Oil {mark}"}, marked, template=f"{mark}{{text}}{mark}")

    assert turns_in(example.input_ids, marked) == [mark, mark]


def test_a_call_that_an_answer_writes_out_stays_a_call(marked, encoded):
    example = encoded(chat(("user", "Oil?"), ("assistant", "<tool_call>oil")), marked)

    assert marked.convert_tokens_to_ids("<tool_call>") in example.labels


def test_the_tokenizer_that_is_published_stays_as_it_was(marked, encoded, tmp_path: Path):
    marked.save_pretrained(tmp_path / "before")
    encoded(chat(("user", smuggled(marked)), ("assistant", "A virtue.")), marked)
    marked.save_pretrained(tmp_path / "after")

    for path in (tmp_path / "before").iterdir():
        assert path.read_bytes() == (tmp_path / "after" / path.name).read_bytes()
