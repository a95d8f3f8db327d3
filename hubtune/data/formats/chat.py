"""Writes conversations by a chat template, and knows which of their characters the assistant has to give.

Special tokens and the template's marks of turns are text where they stand in a message. They are marked before the
template sees them, so that they can be told from those that the template writes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hubtune.config.data import LossOn
from hubtune.data.control import LITERAL_END, LITERAL_START, MARKS, PROBES, control_pattern, turn_tokens
from hubtune.data.faults import Reason, RowFaultError
from hubtune.data.formats.answers import Found, Span, find_answers, places_of_answers
from hubtune.data.formats.conversations import Conversation, Json
from hubtune.data.formats.unwritten import missing, parts_of, removals
from hubtune.data.pieces import Piece, Written
from hubtune.errors import ConfigError, HubtuneError, ModelError
from hubtune.templating.chat import ChatTemplate, Talk, TemplateFaultError, lack_of_template
from hubtune.templating.process import LimitError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Templates that write the date of today would give other rows tomorrow; this is the date that Llama 3 falls back to.
# It stands on the template's first line, so that faults name lines as they are in its file.
_FIXED_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"


@dataclass(frozen=True)
class ChatWriter:
    """Writes conversations as one tokenizer's model is to see them.

    Attributes:
        special: Finds special tokens, and those with which the template marks turns.
    """

    template: ChatTemplate
    special: "re.Pattern[str]"
    loss_on: LossOn

    @classmethod
    def make(
        cls, tokenizer: "PreTrainedTokenizerBase", template: str | None, loss_on: LossOn, name: str
    ) -> "ChatWriter":
        """Returns the writer for a tokenizer, with its own template unless another is given.

        Args:
            tokenizer: The base model's.
            template: The config's.
            loss_on: What carries loss.
            name: The data set.

        Raises:
            ConfigError: There is no template, or the config's cannot be used.
            ModelError: The tokenizer's template cannot be used.
        """
        found = usable_template(tokenizer, template, name)
        if "strftime_now" in found.text:
            found = replace(found, text=_FIXED_DATE + found.text)
        return cls(found, control_pattern(tokenizer, turn_tokens(tokenizer, found)), loss_on)

    def write_all(self, conversations: Sequence[Conversation]) -> list[Written | RowFaultError]:
        """Writes conversations; in the place of one that cannot be used stands the reason.

        Raises:
            LimitError: One, which it names by its place, exceeds a limit.
        """
        marked = [_marked_conversation(each, self.special) for each in conversations]
        removed = [removals(each, self._learnt(each)) for each in marked]
        found = find_answers(self.template, marked, removed)
        return [self._written(*each) for each in zip(conversations, marked, found, strict=True)]

    def _learnt(self, conversation: Conversation) -> list[int]:
        """Returns the places of the answers that carry loss."""
        answers = places_of_answers(conversation)
        return answers[-1:] if self.loss_on == "completion" else answers

    def _written(
        self, conversation: Conversation, marked: Conversation, found: Found | RowFaultError
    ) -> Written | RowFaultError:
        if isinstance(found, RowFaultError):
            return found
        spans = self._whole_turns(found.text, [span for span in found.spans if span[0] < span[1]])
        if self.loss_on == "completion":
            spans = spans[-1:]
        learnt = "".join(found.text[start:end] for start, end in spans)
        texts = (found.text, found.text if spans and self.loss_on == "all" else learnt)
        answers = self._learnt(marked)
        lacks = missing(marked, answers, found.same, texts)
        # Of answers that are content alone, a template that shows none of them leaves nothing to learn.
        if lacks.answer is not None and (spans or any(parts_of(marked.messages[place]) for place in answers)):
            return RowFaultError(Reason.NOT_WRITTEN, lacks.answer)
        if not spans:
            return RowFaultError(Reason.NOTHING_LEARNT)
        # What a template writes after the last answer is never asked for.
        pieces = _pieces(found.text[: spans[-1][1]], spans)
        asked = next(message for message in conversation.messages if message["role"] == "user")
        return Written(
            pieces,
            self.loss_on == "all",
            prompt=str(asked["content"]) or None,
            turns=True,
            hidden=tuple(lacks.shown),
            fields=tuple(lacks.fields),
        )

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


def usable_template(tokenizer: "PreTrainedTokenizerBase", given: str | None, name: str) -> ChatTemplate:
    """Returns the template that a data set's conversations are written by; the arguments are those of `make`.

    Raises:
        ConfigError: There is none, or the config's cannot be used.
        ModelError: The tokenizer's cannot be used.
    """
    found = ChatTemplate.of(tokenizer, given)
    if found is None:
        raise ConfigError(
            f"{name} is of format 'chat', and the base model's tokenizer {lack_of_template(tokenizer)}.",
            hint="Give one: data[].chat_template, as Jinja text or {file: chat.jinja}; or use a chat model.",
        )
    check_template(found, given=given is not None)
    return found


def check_template(template: ChatTemplate, *, given: bool) -> None:
    """Refuses a chat template that is none, or that exceeds a limit with a few words; it may refuse those.

    Args:
        template: What is to write conversations.
        given: Whether the config gives it, and not the base model's tokenizer.

    Raises:
        ConfigError: It is the config's.
        ModelError: It is the tokenizer's.
    """
    try:
        template.render_all([Talk(turns, ask=True) for turns in PROBES])
    except TemplateFaultError as fault:
        raise _unusable(str(fault), given=given) from fault
    except LimitError as error:
        raise _unusable(f"it {error.words}", given=given) from error


def _unusable(why: str, *, given: bool) -> HubtuneError:
    if given:
        return ConfigError(
            f"The chat template of the config cannot be used: {why}.", hint="Correct data[].chat_template."
        )
    return ModelError(
        f"The chat template of the base model's tokenizer cannot be used: {why}.",
        hint="Give another: data[].chat_template, as Jinja text or {file: chat.jinja}; or choose another base model.",
    )


def _marked_conversation(conversation: Conversation, special: "re.Pattern[str]") -> Conversation:
    messages = [_marked_object(message, special) for message in conversation.messages]
    tools = [_marked(tool, special) for tool in conversation.tools] if conversation.tools else None
    return Conversation(messages, tools)


def _marked_object(message: dict[str, Json], special: "re.Pattern[str]") -> dict[str, Json]:
    return {key: item if key == "role" else _marked(item, special) for key, item in message.items()}


def _marked(value: Json, special: "re.Pattern[str]") -> Json:
    if isinstance(value, str):
        return special.sub(f"{LITERAL_START}\\g<0>{LITERAL_END}", MARKS.sub("", value))
    if isinstance(value, dict):
        return _marked_object(value, special)
    if isinstance(value, list):
        return [_marked(item, special) for item in value]
    return value


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
    parts = re.split(f"{LITERAL_START}([^{LITERAL_START}{LITERAL_END}]*){LITERAL_END}", text)
    # Every second part stood between marks. Lone marks are what a template's own splitting left.
    return [
        Piece(cleaned, response, control=number % 2 == 0)
        for number, part in enumerate(parts)
        if (cleaned := MARKS.sub("", part))
    ]
