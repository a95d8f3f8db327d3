"""Renders conversations with a chat template, and finds which characters are the assistant's.

Special tokens and end-of-turn marks inside a message are plain text. They are marked before the template sees them, so
that they differ from those that the template writes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hubtune.config.data import LossOn
from hubtune.data import tokenization
from hubtune.data.formats.conversations import Conversation, Json
from hubtune.data.formats.coverage import find_unwritten, parts_of, removals
from hubtune.data.segments import DroppedRowError, DropReason, Segment, WrittenRow
from hubtune.errors import ConfigError, HubtuneError, ModelError
from hubtune.templating import chat
from hubtune.templating.process import LimitError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")

Span = tuple[int, int]
# Templates that write the date of today would give other rows tomorrow; this is the date that Llama 3 falls back to.
# It is on the template's first line, so that faults name lines as they are in its file.
_FIXED_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"


@dataclass(frozen=True)
class AnswerSpans:
    """A conversation's text, and the spans of the answers in it.

    Attributes:
        same: Whether the text is the same in each of the variants that were asked for.
    """

    text: str
    spans: Sequence[Span]
    same: Sequence[bool]


def find_answers(
    template: chat.ChatTemplate, conversations: Sequence[Conversation], variants: Sequence[Sequence[chat.Variant]]
) -> list[AnswerSpans | DroppedRowError]:
    """Renders conversations and finds their answers; for a conversation that cannot be used, the reason is returned.

    Args:
        template: What writes them.
        conversations: With marks around special tokens.
        variants: Of each, what else is to be compared with its text.

    Raises:
        LimitError: One, which it names by its place, exceeds a limit.
    """
    marks_them = _GENERATION.search(template.text) is not None
    talks = [
        chat.ChatRequest(
            each.messages, each.tools, spans=marks_them, variants=[*more, *([] if marks_them else _prefixes(each))]
        )
        for each, more in zip(conversations, variants, strict=True)
    ]
    found: list[AnswerSpans | DroppedRowError] = []
    for shown, more in zip(template.render_all(talks), variants, strict=True):
        if isinstance(shown, chat.TemplateFaultError):
            found.append(_refusal(shown))
            continue
        same = [
            each is not None and each.begins and each.length == len(shown.text) for each in shown.overlaps[: len(more)]
        ]
        spans = shown.spans if marks_them else _by_prefixes(shown.text, shown.overlaps[len(more) :])
        found.append(AnswerSpans(shown.text, spans, same))
    if not marks_them:
        _find_by_marks(template, conversations, found)
    return found


def _find_by_marks(
    template: chat.ChatTemplate, conversations: Sequence[Conversation], found: list[AnswerSpans | DroppedRowError]
) -> None:
    """Finds the answers in another way if none was found."""
    again = [(place, each) for place, each in enumerate(found) if isinstance(each, AnswerSpans) and not each.spans]
    try:
        rest = template.render_all([_with_marks(conversations[place]) for place, _ in again])
    except LimitError as error:
        raise LimitError(again[error.place][0], error.kind, error.limits) from error
    for (place, before), shown in zip(again, rest, strict=True):
        spans = _refusal(shown) if isinstance(shown, chat.TemplateFaultError) else _by_marks(shown)
        found[place] = spans if isinstance(spans, DroppedRowError) else AnswerSpans(before.text, spans, before.same)


def _refusal(fault: chat.TemplateFaultError) -> DroppedRowError:
    return DroppedRowError(DropReason.TEMPLATE, str(fault))


def _prefixes(conversation: Conversation) -> list[chat.Variant]:
    """Returns what is before each answer, and what stands up to its end: the last one's end is the whole text's."""
    found = []
    for number in answer_indices(conversation):
        found += [chat.Variant(upto=number, ask=True), chat.Variant(upto=number + 1)]
    return found[:-1]


def _by_prefixes(text: str, overlaps: Sequence[chat.TextOverlap | None]) -> list[Span]:
    """Returns each answer's span; none if what is before an answer is not how the whole text begins."""
    spans = []
    whole = chat.TextOverlap(len(text), len(text), 0)
    for before, through in zip(overlaps[::2], [*overlaps[1::2], whole], strict=True):
        fits = before is not None and through is not None and before.begins and through.begins
        if before is None or through is None or not fits or before.length > through.length:
            return []
        spans.append((before.length, through.length))
    return spans


def _with_marks(conversation: Conversation) -> chat.ChatRequest:
    """Asks for marks around the answers, and for what stands around those with parts beside their content."""
    messages, answers = conversation.messages, answer_indices(conversation)
    marked = {place: _with_answer_marks(messages[place]) for place in answers if not parts_of(messages[place])}
    variants = [chat.Variant(changes=marked, whole=True)]
    for place in answers:
        if place not in marked:
            other: dict[int, object] = {
                place: {"role": "assistant", "content": f"{tokenization.ANSWER_START}x{tokenization.ANSWER_END}"}
            }
            variants += [chat.Variant(upto=place, ask=True), chat.Variant(changes=other)]
    return chat.ChatRequest(messages, conversation.tools, variants=variants)


def _by_marks(rendered: chat.Rendered) -> list[Span] | DroppedRowError:
    text, shown = rendered.text, rendered.texts[0]
    if shown is None or re.sub(f"[{tokenization.ANSWER_START}{tokenization.ANSWER_END}]", "", shown) != text:
        return DroppedRowError(DropReason.NOTHING_LEARNED, "the template changes the answers beyond recognition")
    spans, start, position = [], None, 0
    for part in re.split(f"([{tokenization.ANSWER_START}{tokenization.ANSWER_END}])", shown):
        if part == tokenization.ANSWER_START:
            start = position
        elif part == tokenization.ANSWER_END:
            if start is not None:
                spans.append((start, position))
            start = None
        else:
            position += len(part)
    for before, other in zip(rendered.overlaps[1::2], rendered.overlaps[2::2], strict=True):
        if other is not None:
            asked = before is not None and before.begins and before.length <= other.start
            spans.append((before.length if before is not None and asked else other.start, len(text) - other.end))
    return sorted(spans)


def answer_indices(conversation: Conversation) -> list[int]:
    """Returns which messages are the assistant's."""
    return [place for place, message in enumerate(conversation.messages) if message["role"] == "assistant"]


def _with_answer_marks(message: dict[str, Json]) -> dict[str, Json]:
    """Puts marks around an answer, within its outer spacing, which templates like to strip."""
    content = str(message.get("content") or "")
    core = content.strip()
    if not core:
        return message
    start = content.index(core)
    marked = (
        f"{content[:start]}{tokenization.ANSWER_START}{core}{tokenization.ANSWER_END}{content[start + len(core) :]}"
    )
    return {**message, "content": marked}


@dataclass(frozen=True)
class ChatWriter:
    """Renders conversations for the model of a tokenizer.

    Attributes:
        special: Finds special tokens, and those with which the template marks turns.
    """

    template: chat.ChatTemplate
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
            loss_on: Which tokens are targets.
            name: The dataset.

        Raises:
            ConfigError: There is no template, or the config's cannot be used.
            ModelError: The tokenizer's template cannot be used.
        """
        found = usable_template(tokenizer, template, name)
        if "strftime_now" in found.text:
            found = replace(found, text=_FIXED_DATE + found.text)
        return cls(found, tokenization.control_pattern(tokenizer, tokenization.turn_tokens(tokenizer, found)), loss_on)

    def write_all(self, conversations: Sequence[Conversation]) -> list[WrittenRow | DroppedRowError]:
        """Renders conversations; for a conversation that cannot be used, the reason is returned.

        Raises:
            LimitError: One, which it names by its place, exceeds a limit.
        """
        marked = [_marked_conversation(each, self.special) for each in conversations]
        removed = [removals(each, self._learned(each)) for each in marked]
        found = find_answers(self.template, marked, removed)
        return [self._written(*each) for each in zip(conversations, marked, found, strict=True)]

    def _learned(self, conversation: Conversation) -> list[int]:
        """Returns the places of the answers that are targets."""
        answers = answer_indices(conversation)
        return answers[-1:] if self.loss_on == "completion" else answers

    def _written(
        self, conversation: Conversation, marked: Conversation, found: AnswerSpans | DroppedRowError
    ) -> WrittenRow | DroppedRowError:
        if isinstance(found, DroppedRowError):
            return found
        spans = self._whole_turns(found.text, [span for span in found.spans if span[0] < span[1]])
        if self.loss_on == "completion":
            spans = spans[-1:]
        learned = "".join(found.text[start:end] for start, end in spans)
        texts = (found.text, found.text if spans and self.loss_on == "all" else learned)
        answers = self._learned(marked)
        lacks = find_unwritten(marked, answers, found.same, texts)
        # Of answers that are content alone, a template that shows none of them leaves nothing to learn.
        if lacks.answer is not None and (spans or any(parts_of(marked.messages[place]) for place in answers)):
            return DroppedRowError(DropReason.NOT_WRITTEN, lacks.answer)
        if not spans:
            return DroppedRowError(DropReason.NOTHING_LEARNED)
        # What a template writes after the last answer is never asked for.
        segments = _segments(found.text[: spans[-1][1]], spans)
        asked = next(message for message in conversation.messages if message["role"] == "user")
        return WrittenRow(
            segments,
            self.loss_on == "all",
            prompt=str(asked["content"]) or None,
            turns=True,
            hidden=tuple(lacks.shown),
            fields=tuple(lacks.fields),
        )

    def _whole_turns(self, text: str, spans: Sequence[Span]) -> list[Span]:
        """Returns each answer with the token that ends its turn, and without the spacing after that.

        If no answer holds that token, it is what the template writes after the last answer.
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


def usable_template(tokenizer: "PreTrainedTokenizerBase", given: str | None, name: str) -> chat.ChatTemplate:
    """Returns the template for a dataset's conversations; the arguments are those of `make`.

    Raises:
        ConfigError: There is none, or the config's cannot be used.
        ModelError: The tokenizer's cannot be used.
    """
    found = chat.ChatTemplate.of(tokenizer, given)
    if found is None:
        raise ConfigError(
            f"{name} is of format 'chat', and the base model's tokenizer {chat.lack_of_template(tokenizer)}.",
            hint="Give one: data[].chat_template, as Jinja text or {file: chat.jinja}; or use a chat model.",
        )
    check_template(found, given=given is not None)
    return found


def check_template(template: chat.ChatTemplate, *, given: bool) -> None:
    """Refuses a chat template that cannot be used, or that exceeds a limit on a few words.

    Args:
        template: What is to write conversations.
        given: Whether the config gives it, and not the base model's tokenizer.

    Raises:
        ConfigError: It is the config's.
        ModelError: It is the tokenizer's.
    """
    try:
        template.render_all([chat.ChatRequest(turns, ask=True) for turns in tokenization.PROBES])
    except chat.TemplateFaultError as fault:
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
        return special.sub(
            f"{tokenization.LITERAL_START}\\g<0>{tokenization.LITERAL_END}", tokenization.MARKS.sub("", value)
        )
    if isinstance(value, dict):
        return _marked_object(value, special)
    if isinstance(value, list):
        return [_marked(item, special) for item in value]
    return value


def _segments(text: str, spans: Sequence[Span]) -> tuple[Segment, ...]:
    """Cuts a text at its answers and at its marks; all but marked special tokens may hold tokens that are meant."""
    segments: list[Segment] = []
    place = 0
    for start, end in spans:
        segments += _unmarked(text[place:start], response=False)
        segments += _unmarked(text[start:end], response=True)
        place = end
    return tuple(segments)


def _unmarked(text: str, *, response: bool) -> list[Segment]:
    parts = re.split(
        f"{tokenization.LITERAL_START}([^{tokenization.LITERAL_START}{tokenization.LITERAL_END}]*){tokenization.LITERAL_END}",
        text,
    )
    # Every second part was between marks. Lone marks are what a template's own splitting left.
    return [
        Segment(cleaned, response, control=number % 2 == 0)
        for number, part in enumerate(parts)
        if (cleaned := tokenization.MARKS.sub("", part))
    ]
