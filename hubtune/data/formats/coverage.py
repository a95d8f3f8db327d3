"""Finds parts of a conversation that its rendered text lacks: a model cannot learn what it never sees.

An answer without one of its parts teaches the model to answer without it, for example with nothing instead of a tool
call. What others say, and the schemas of tools, may be omitted on purpose.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hubtune.data.formats.conversations import Conversation, Json
from hubtune.data.tokenization import MARKS
from hubtune.templating.chat import Variant

Message = dict[str, Json]

_CALLS = ("tool_calls", "function_call")
# What a message means besides its content. Those of one line are names for the same.
_PARTS = (
    ("tool_calls",),
    ("function_call",),
    ("reasoning_content", "reasoning", "thinking", "thoughts", "thought"),
    ("tool_plan",),
    ("refusal",),
    ("citations",),
    ("image", "images"),
    ("audio", "audios"),
    ("video", "videos"),
    ("file", "files", "attachments"),
    ("documents",),
)
_MEANT = frozenset(key for names in _PARTS for key in names)
# What distinguishes and orders the calls of one message; the model need not give it.
_NUMBERING = frozenset({"id", "type", "index"})
_CALL = ("name", "arguments", "parameters")


@dataclass(frozen=True)
class UnwrittenPart:
    """The parts that the text of a conversation lacks.

    Attributes:
        answer: A part of an answer with target tokens, in words; None if nothing of them is missing.
        shown: Kinds of other things that the model is not shown, in words.
        fields: Further fields of the answers.
    """

    answer: str | None
    shown: Sequence[str] = ()
    fields: Sequence[str] = ()


def parts_of(message: Message) -> list[tuple[str, ...]]:
    """Returns the meaningful fields of a message besides its content; several names of one field are grouped."""
    if _MEANT.isdisjoint(message):
        return []
    found = [tuple(key for key in names if message.get(key)) for names in _PARTS]
    return [names for names in found if names]


def removals(conversation: Conversation, answers: Sequence[int]) -> list[Variant]:
    """Returns a conversation without each part of its answers, and without its tools: each must change the text."""
    found = [
        Variant(changes={place: {key: value for key, value in message.items() if key not in names}})
        for place, message in ((place, conversation.messages[place]) for place in answers)
        for names in parts_of(message)
    ]
    return [*found, Variant(tools=False)] if conversation.tools else found


def find_unwritten(
    conversation: Conversation, answers: Sequence[int], same: Sequence[bool], texts: tuple[str, str]
) -> UnwrittenPart:
    """Returns the parts that are missing in a conversation's text.

    Args:
        conversation: As the template was given it.
        answers: The places of the answers that are targets.
        same: Whether the text stayed the same with each of `removals`.
        texts: The whole text, and which parts of it are targets.
    """
    left = iter(same)
    whole, target = map(_Text, texts)
    shown: set[str] = set()
    fields: set[str] = set()
    for place, message in enumerate(conversation.messages):
        if place in answers:
            lost = _lost(message, left, target)
            if lost is not None:
                name, leaves = lost
                aside = ", which is written where nothing is trained on" if all(map(whole.holds, leaves)) else ""
                return UnwrittenPart(f"`{name}` of message {place + 1}{aside}")
            fields.update(_further(message, whole))
        elif message["role"] != "assistant":
            shown.update(_hidden(message, whole))
    if conversation.tools and next(left):
        shown.add("the tools")
    return UnwrittenPart(None, sorted(shown), sorted(fields))


def _lost(message: Message, left: Iterator[bool], target: "_Text") -> tuple[str, list[Json]] | None:
    """Returns the first part that is not learned, and what it says; of a part that changes no text, nothing."""
    parts = [(names[0], list(_leaves(names[0], message[names[0]])), next(left)) for names in parts_of(message)]
    for name, leaves, same in [*parts, ("content", [message["content"]], False)]:
        if same or not all(map(target.holds, leaves)):
            return name, [None] if same else leaves
    return None


def _further(message: Message, whole: "_Text") -> Iterator[str]:
    for key, value in message.items():
        if key not in _MEANT and key not in ("role", "content") and not all(map(whole.holds, _values(value))):
            yield key


def _hidden(message: Message, whole: "_Text") -> Iterator[str]:
    if not whole.holds(message["content"]):
        yield f"what the {message['role']} says"
    for names in parts_of(message):
        if not all(whole.holds(leaf) for leaf in _leaves(names[0], message[names[0]])):
            yield f"`{names[0]}` of the {message['role']}"


def _leaves(key: str, value: Json) -> Iterator[Json]:
    """Yields what a part says: all its values, and of calls the names of what is called and the arguments."""
    if key not in _CALLS:
        yield from _values(value)
        return
    for call in value if isinstance(value, list) else [value]:
        told = call.get("function", call) if isinstance(call, dict) else call
        if not isinstance(told, dict):
            yield from _values(told)
            continue
        for name in [each for each in _CALL if each in told] or [each for each in told if each not in _NUMBERING]:
            # The names of arguments are the model's to give.
            yield from _values(told[name], keys=name != "name")


def _values(value: Json, *, keys: bool = False) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _values(item, keys=keys)
    elif isinstance(value, dict):
        for key, item in value.items():
            if keys:
                yield key
            yield from _values(item, keys=keys)
    elif value is not None:
        yield value


class _Text:
    """A text in which values of the data are looked for, whatever spacing and quoting a template gives them."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _dense(self) -> str:
        return _without_spacing(self._text)

    def holds(self, value: Json) -> bool:
        """Whether a value is in the text; nothing is in none."""
        if value is None:
            return False
        if isinstance(value, bool):
            return str(value) in self._text or str(value).lower() in self._text
        core = value.strip() if isinstance(value, str) else json.dumps(value)
        if core in self._text:
            return True
        forms = (core, json.dumps(core, ensure_ascii=False)[1:-1], json.dumps(core)[1:-1], repr(core)[1:-1])
        return any(_without_spacing(form) in self._dense for form in forms)


def _without_spacing(text: str) -> str:
    return "".join(MARKS.sub("", text).split())
