"""Finds the answers in a conversation that a chat template wrote.

Where the template marks them itself (`{% generation %}`), its marks count. Else the conversation is written up to each
answer, with and without it: what the answer added is the answer. Where the template writes earlier turns differently
once later ones follow, the answers are looked for in the whole text, between marks put around them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hubtune.data.faults import Reason, RowFaultError
from hubtune.data.formats.conversations import Conversation, Json
from hubtune.templating.chat import ChatTemplate, Places, Rendered, Talk, TemplateFaultError, Variant
from hubtune.templating.process import LimitError

# Private-use characters, which data is not to hold.
ANSWER_START, ANSWER_END = "\U000f0002", "\U000f0003"
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")

Span = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """A conversation's text, and where the answers stand in it."""

    text: str
    spans: Sequence[Span]


def find_answers(template: ChatTemplate, conversations: Sequence[Conversation]) -> list[Found | RowFaultError]:
    """Writes conversations and finds the answers in them; in the place of one that cannot be used stands the reason.

    Args:
        template: What writes them.
        conversations: With marks around special tokens.

    Raises:
        LimitError: One, which it names by its place, exceeds a limit.
    """
    if _GENERATION.search(template.text):
        talks = [Talk(each.messages, each.tools, spans=True) for each in conversations]
        return [
            _refusal(shown) if isinstance(shown, TemplateFaultError) else Found(shown.text, shown.spans)
            for shown in template.render_all(talks)
        ]
    talks = [Talk(each.messages, each.tools, variants=_prefixes(each)) for each in conversations]
    found = [
        _refusal(shown) if isinstance(shown, TemplateFaultError) else _by_prefixes(shown)
        for shown in template.render_all(talks)
    ]
    places = [place for place, each in enumerate(found) if isinstance(each, Found) and not each.spans]
    try:
        rest = template.render_all([_with_marks(conversations[place]) for place in places])
    except LimitError as error:
        raise LimitError(places[error.place], error.kind, error.limits) from error
    for place, shown in zip(places, rest, strict=True):
        found[place] = _refusal(shown) if isinstance(shown, TemplateFaultError) else _by_marks(shown)
    return found


def _refusal(fault: TemplateFaultError) -> RowFaultError:
    return RowFaultError(Reason.TEMPLATE, str(fault))


def _prefixes(conversation: Conversation) -> list[Variant]:
    """Returns what stands before each answer, and what stands up to its end: the last one's end is the whole text's."""
    found = []
    for number in _answers(conversation):
        found += [Variant(upto=number, ask=True), Variant(upto=number + 1)]
    return found[:-1]


def _by_prefixes(shown: Rendered) -> Found:
    """Returns each answer's span; none where what stands before an answer is not how the whole text begins."""
    spans = []
    whole = Places(len(shown.text), len(shown.text), 0)
    for before, through in zip(shown.places[::2], [*shown.places[1::2], whole], strict=True):
        fits = before is not None and through is not None and before.begins and through.begins
        if before is None or through is None or not fits or before.length > through.length:
            return Found(shown.text, [])
        spans.append((before.length, through.length))
    return Found(shown.text, spans)


def _with_marks(conversation: Conversation) -> Talk:
    messages = conversation.messages
    marked = {place: _with_answer_marks(messages[place]) for place in _answers(conversation)}
    return Talk(messages, conversation.tools, variants=[Variant(changes=marked, whole=True)])


def _by_marks(rendered: Rendered) -> Found | RowFaultError:
    (shown,) = rendered.texts
    if shown is None or re.sub(f"[{ANSWER_START}{ANSWER_END}]", "", shown) != rendered.text:
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
    return Found(rendered.text, spans)


def _answers(conversation: Conversation) -> list[int]:
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
