"""Finds the answers in a conversation that a chat template wrote.

Where the template marks them itself (`{% generation %}`), its marks count. Else the conversation is written up to each
answer, with and without it: what the answer added is the answer. Where the template writes earlier turns differently
once later ones follow, the answers are looked for in the whole text, between marks put around them; one that calls
tools, or has reasoning beside its content, is what differs from the conversation with another answer in its place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hubtune.data.control import ANSWER_END, ANSWER_START
from hubtune.data.faults import Reason, RowFaultError
from hubtune.data.formats.conversations import Conversation, Json
from hubtune.data.formats.unwritten import parts_of
from hubtune.templating.chat import ChatTemplate, Places, Rendered, Talk, TemplateFaultError, Variant
from hubtune.templating.process import LimitError

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")

Span = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """A conversation's text, and where the answers stand in it.

    Attributes:
        same: Whether the text is the same in each of the variants that were asked for.
    """

    text: str
    spans: Sequence[Span]
    same: Sequence[bool]


def find_answers(
    template: ChatTemplate, conversations: Sequence[Conversation], variants: Sequence[Sequence[Variant]]
) -> list[Found | RowFaultError]:
    """Writes conversations and finds the answers in them; in the place of one that cannot be used stands the reason.

    Args:
        template: What writes them.
        conversations: With marks around special tokens.
        variants: Of each, what else is to be compared with its text.

    Raises:
        LimitError: One, which it names by its place, exceeds a limit.
    """
    marks_them = _GENERATION.search(template.text) is not None
    talks = [
        Talk(each.messages, each.tools, spans=marks_them, variants=[*more, *([] if marks_them else _prefixes(each))])
        for each, more in zip(conversations, variants, strict=True)
    ]
    found: list[Found | RowFaultError] = []
    for shown, more in zip(template.render_all(talks), variants, strict=True):
        if isinstance(shown, TemplateFaultError):
            found.append(_refusal(shown))
            continue
        same = [
            each is not None and each.begins and each.length == len(shown.text) for each in shown.places[: len(more)]
        ]
        spans = shown.spans if marks_them else _by_prefixes(shown.text, shown.places[len(more) :])
        found.append(Found(shown.text, spans, same))
    if not marks_them:
        _look_again(template, conversations, found)
    return found


def _look_again(
    template: ChatTemplate, conversations: Sequence[Conversation], found: list[Found | RowFaultError]
) -> None:
    """Finds the answers in another way where none was found."""
    again = [(place, each) for place, each in enumerate(found) if isinstance(each, Found) and not each.spans]
    try:
        rest = template.render_all([_with_marks(conversations[place]) for place, _ in again])
    except LimitError as error:
        raise LimitError(again[error.place][0], error.kind, error.limits) from error
    for (place, before), shown in zip(again, rest, strict=True):
        spans = _refusal(shown) if isinstance(shown, TemplateFaultError) else _by_marks(shown)
        found[place] = spans if isinstance(spans, RowFaultError) else Found(before.text, spans, before.same)


def _refusal(fault: TemplateFaultError) -> RowFaultError:
    return RowFaultError(Reason.TEMPLATE, str(fault))


def _prefixes(conversation: Conversation) -> list[Variant]:
    """Returns what stands before each answer, and what stands up to its end: the last one's end is the whole text's."""
    found = []
    for number in places_of_answers(conversation):
        found += [Variant(upto=number, ask=True), Variant(upto=number + 1)]
    return found[:-1]


def _by_prefixes(text: str, places: Sequence[Places | None]) -> list[Span]:
    """Returns each answer's span; none where what stands before an answer is not how the whole text begins."""
    spans = []
    whole = Places(len(text), len(text), 0)
    for before, through in zip(places[::2], [*places[1::2], whole], strict=True):
        fits = before is not None and through is not None and before.begins and through.begins
        if before is None or through is None or not fits or before.length > through.length:
            return []
        spans.append((before.length, through.length))
    return spans


def _with_marks(conversation: Conversation) -> Talk:
    """Asks for marks around the answers, and for what stands around those with parts beside their content."""
    messages, answers = conversation.messages, places_of_answers(conversation)
    marked = {place: _with_answer_marks(messages[place]) for place in answers if not parts_of(messages[place])}
    variants = [Variant(changes=marked, whole=True)]
    for place in answers:
        if place not in marked:
            other: dict[int, object] = {place: {"role": "assistant", "content": f"{ANSWER_START}x{ANSWER_END}"}}
            variants += [Variant(upto=place, ask=True), Variant(changes=other)]
    return Talk(messages, conversation.tools, variants=variants)


def _by_marks(rendered: Rendered) -> list[Span] | RowFaultError:
    text, shown = rendered.text, rendered.texts[0]
    if shown is None or re.sub(f"[{ANSWER_START}{ANSWER_END}]", "", shown) != text:
        return RowFaultError(Reason.NOTHING_LEARNT, "the template changes the answers beyond recognition")
    spans, start, position = [], None, 0
    for part in re.split(f"([{ANSWER_START}{ANSWER_END}])", shown):
        if part == ANSWER_START:
            start = position
        elif part == ANSWER_END:
            if start is not None:
                spans.append((start, position))
            start = None
        else:
            position += len(part)
    for before, other in zip(rendered.places[1::2], rendered.places[2::2], strict=True):
        if other is not None:
            asked = before is not None and before.begins and before.length <= other.start
            spans.append((before.length if before is not None and asked else other.start, len(text) - other.end))
    return sorted(spans)


def places_of_answers(conversation: Conversation) -> list[int]:
    """Returns which messages are the assistant's."""
    return [place for place, message in enumerate(conversation.messages) if message["role"] == "assistant"]


def _with_answer_marks(message: dict[str, Json]) -> dict[str, Json]:
    """Puts marks around an answer, within its outer spacing, which templates like to strip."""
    content = str(message.get("content") or "")
    core = content.strip()
    if not core:
        return message
    start = content.index(core)
    marked = f"{content[:start]}{ANSWER_START}{core}{ANSWER_END}{content[start + len(core) :]}"
    return {**message, "content": marked}
