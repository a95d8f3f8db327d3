"""Writes a conversation by a chat template, and knows which of its characters the assistant has to give.

Where the template marks them itself (`{% generation %}`), its marks count. Else the conversation is written up to each
answer, with and without it: what the answer added is the answer. Where the template writes earlier turns differently
once later ones follow, the answers are looked for in the whole text, between marks put around them.

Special tokens and the template's marks of turns are text where they stand in a message. They are marked before the
template sees them, so that they can be told from those that the template writes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from hubtune.config.data import LossOn
from hubtune.data.control import control_pattern, own_template, turn_tokens
from hubtune.data.faults import Reason, RowFaultError
from hubtune.data.formats.conversations import Conversation, Json
from hubtune.data.pieces import Piece, Written
from hubtune.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Private-use characters, which data is not to hold: the first pair goes around special tokens in messages, the second
# around answers.
_LITERAL_START, _LITERAL_END, _ANSWER_START, _ANSWER_END = "\U000f0000", "\U000f0001", "\U000f0002", "\U000f0003"
_MARKS = re.compile(f"[{_LITERAL_START}{_LITERAL_END}{_ANSWER_START}{_ANSWER_END}]")
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
# Templates that write the date of today would give other rows tomorrow; this is the date that Llama 3 falls back to.
_FIXED_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}\n"

# What Jinja raises, and what its expressions do over values that they were not written for.
_FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

Span = tuple[int, int]


@dataclass(frozen=True)
class ChatWriter:
    """Writes conversations as one tokenizer's model is to see them.

    Attributes:
        template: Jinja text.
        special: Finds special tokens, and those with which the template marks turns.
    """

    tokenizer: "PreTrainedTokenizerBase"
    template: str
    special: "re.Pattern[str]"
    loss_on: LossOn

    @classmethod
    def make(
        cls, tokenizer: "PreTrainedTokenizerBase", template: str | None, loss_on: LossOn, name: str
    ) -> "ChatWriter":
        """Returns the writer for a tokenizer, with its own template unless another is given.

        Raises:
            ConfigError: There is no template.
        """
        text = template or own_template(tokenizer)
        if text is None:
            raise ConfigError(
                f"The tokenizer of {name} has no chat template, and data of format 'chat' needs one.",
                hint="Give one: data[].chat_template, as Jinja text or {file: chat.jinja}; or use a chat model.",
            )
        if "strftime_now" in text:
            text = _FIXED_DATE + text
        return cls(tokenizer, text, control_pattern(tokenizer, turn_tokens(tokenizer, text)), loss_on)

    def write(self, conversation: Conversation) -> Written:
        """Writes a conversation.

        Raises:
            RowFaultError: The template refuses it, or shows nothing of the answers.
        """
        messages = [_marked(message, self.special) for message in conversation.messages]
        tools = [_marked(tool, self.special) for tool in conversation.tools] if conversation.tools else None
        text, spans = self._spans(messages, tools)
        spans = self._whole_turns(text, [span for span in spans if span[0] < span[1]])
        if not spans:
            raise RowFaultError(Reason.NOTHING_LEARNT)
        if self.loss_on == "completion":
            spans = spans[-1:]
        # What a template writes after the last answer is never asked for.
        pieces = _pieces(text[: spans[-1][1]], spans)
        asked = next(message for message in conversation.messages if message["role"] == "user")
        return Written(pieces, self.loss_on == "all", prompt=str(asked["content"]) or None, turns=True)

    def _spans(self, messages: list[Json], tools: list[Json] | None) -> tuple[str, list[Span]]:
        if _GENERATION.search(self.template):
            return self._by_generation(messages, tools)
        text = self._render(messages, tools)
        spans = self._by_prefix(messages, tools, text)
        if spans is not None:
            return text, spans
        return self._by_marks(messages, tools, text)

    def _by_generation(self, messages: list[Json], tools: list[Json] | None) -> tuple[str, list[Span]]:
        from transformers.utils.chat_template_utils import render_jinja_template

        with _template_faults():
            texts, spans = render_jinja_template(
                conversations=[messages],
                tools=tools,
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        return str(texts[0]), [(int(start), int(end)) for start, end in spans[0]]

    def _by_prefix(self, messages: list[Json], tools: list[Json] | None, text: str) -> list[Span] | None:
        """Returns each answer's span; None where what stands before an answer is not how the whole text begins."""
        spans = []
        for number, message in enumerate(messages):
            if not _is_answer(message):
                continue
            try:
                before = self._render(messages[:number], tools, ask=True)
                through = text if number == len(messages) - 1 else self._render(messages[: number + 1], tools)
            except RowFaultError:
                return None
            if not (through.startswith(before) and text.startswith(through)):
                return None
            spans.append((len(before), len(through)))
        return spans

    def _by_marks(self, messages: list[Json], tools: list[Json] | None, text: str) -> tuple[str, list[Span]]:
        marked = [_with_answer_marks(message) if _is_answer(message) else message for message in messages]
        shown = self._render(marked, tools)
        if re.sub(f"[{_ANSWER_START}{_ANSWER_END}]", "", shown) != text:
            raise RowFaultError(Reason.NOTHING_LEARNT, "the template changes the answers beyond recognition")
        spans, start, position = [], None, 0
        for character in shown:
            if character == _ANSWER_START:
                start = position
            elif character == _ANSWER_END:
                if start is not None:
                    spans.append((start, position))
                start = None
            else:
                position += 1
        return text, spans

    def _whole_turns(self, text: str, spans: Sequence[Span]) -> list[Span]:
        """Returns each answer with the token that ends its turn, and without the spacing after that.

        Where no answer holds that token, it is what the template writes after the last answer.
        """
        ending = re.compile(rf"({self.special.pattern})\s*\Z")
        following = re.compile(rf"\s*({self.special.pattern})")
        after_last = following.match(text, spans[-1][1]) if spans else None
        whole = []
        for start, end in spans:
            inside = ending.search(text, start, end)
            after = following.match(text, end)
            if inside is not None:
                end = inside.end(1)
            elif after is not None and after_last is not None and after[1] == after_last[1]:
                end = after.end()
            whole.append((start, end))
        return whole

    def _render(self, messages: list[Json], tools: list[Json] | None, *, ask: bool = False) -> str:
        if not messages:
            return ""
        with _template_faults():
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tools=tools, chat_template=self.template, tokenize=False, add_generation_prompt=ask
                )
            )


class _template_faults:  # noqa: N801 - used as a statement
    """Turns what a template raises over a row's messages into a fault of the row."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _FAULTS):
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RowFaultError(Reason.TEMPLATE, line[:200]) from error


def _is_answer(message: Json) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"


def _marked(value: Json, special: "re.Pattern[str]") -> Json:
    if isinstance(value, str):
        return special.sub(f"{_LITERAL_START}\\g<0>{_LITERAL_END}", _MARKS.sub("", value))
    if isinstance(value, dict):
        return {key: item if key == "role" else _marked(item, special) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item, special) for item in value]
    return value


def _with_answer_marks(message: Json) -> Json:
    """Puts marks around an answer, within its outer spacing, which templates like to strip."""
    assert isinstance(message, dict)
    content = str(message.get("content") or "")
    core = content.strip()
    if not core:
        return message
    start = content.index(core)
    marked = f"{content[:start]}{_ANSWER_START}{core}{_ANSWER_END}{content[start + len(core) :]}"
    return {**message, "content": marked}


def _pieces(text: str, spans: Sequence[Span]) -> tuple[Piece, ...]:
    """Cuts a text at its answers and at its marks; all but marked special tokens may hold tokens that are meant."""
    pieces: list[Piece] = []
    place = 0
    for start, end in spans:
        pieces += _unmarked(text[place:start], response=False)
        pieces += _unmarked(text[start:end], response=True)
        place = end
    return tuple(pieces)


def _unmarked(text: str, *, response: bool) -> list[Piece]:
    parts = re.split(f"{_LITERAL_START}([^{_LITERAL_START}{_LITERAL_END}]*){_LITERAL_END}", text)
    # Every second part stood between marks. Lone marks are what a template's own splitting left.
    return [
        Piece(cleaned, response, control=number % 2 == 0)
        for number, part in enumerate(parts)
        if (cleaned := _MARKS.sub("", part))
    ]
