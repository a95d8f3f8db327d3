"""Chat templates: every conversation is rendered here, in one process with limits.

The chat template of a base model, a config or a release is an untrusted program. See `hubtune.templating.process` for
the limits.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hubtune.templating.process import BoundedProcess, LimitError, ProcessLimits

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LIMITS = ProcessLimits(seconds=10, memory=512 * 2**20, output=16 * 2**20, pace=0.5)
"""What writing one conversation may use, and most of several."""
_HANDLER = "hubtune.templating.chat_worker:handle"

Span = tuple[int, int]


class TemplateFaultError(Exception):
    """A template cannot be used, or refuses a conversation; the words say why."""


@dataclass(frozen=True)
class Variant:
    """Another writing of a conversation, beside its own.

    Attributes:
        upto: How many of its messages; None for all.
        ask: Whether the answer is asked for at its end.
        changes: Messages in place of others, by their places.
        tools: Whether its tools are given.
        whole: Whether the text itself is wanted, and not only its overlap.
    """

    upto: int | None = None
    ask: bool = False
    changes: Mapping[int, object] = field(default_factory=dict)
    tools: bool = True
    whole: bool = False


@dataclass(frozen=True)
class TextOverlap:
    """How a variant's text compares to the conversation's own.

    Attributes:
        length: Its characters.
        start: How many it has in common with the other at its start.
        end: How many further ones at its end.
    """

    length: int
    start: int
    end: int

    @property
    def begins(self) -> bool:
        """Whether the other text begins with this one."""
        return self.start == self.length


@dataclass(frozen=True)
class ChatRequest:
    """A conversation to write.

    Attributes:
        messages: As templates take them.
        tools: Schemas that the assistant may call.
        ask: Whether the answer is asked for at its end.
        spans: Whether the parts are wanted that the template marks as the assistant's.
        variants: What else is wanted.
    """

    messages: Sequence[object]
    tools: Sequence[object] | None = None
    ask: bool = False
    spans: bool = False
    variants: Sequence[Variant] = ()


@dataclass(frozen=True)
class Rendered:
    """A conversation as its template writes it.

    Attributes:
        spans: What the template marks as the assistant's.
        overlaps: Of the variants; None if the template refuses one.
        texts: The same, if whole texts were wanted.
    """

    text: str
    spans: Sequence[Span]
    overlaps: Sequence[TextOverlap | None]
    texts: Sequence[str | None]


def lack_of_template(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Returns what a tokenizer without a usable template has, in words that follow its name."""
    named = tokenizer.chat_template
    if not isinstance(named, Mapping) or not named:
        return "has no chat template"
    names = ", ".join(sorted(str(name) for name in named))
    return f"has chat templates with names of their own ({names}) and none that is called default"


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template with the special tokens of one tokenizer.

    Attributes:
        text: Jinja text.
        tokens: What it may name, such as `bos_token`.
        beside_tool_use: Whether transformers takes another template of the tokenizer for conversations with tools.
    """

    text: str
    tokens: Mapping[str, str]
    beside_tool_use: bool = False

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", given: str | None = None) -> "ChatTemplate | None":
        """Returns the template that is given, or else the tokenizer's own, of several the default one."""
        text = given or tokenizer.chat_template
        beside_tool_use = isinstance(text, Mapping) and "tool_use" in text
        if isinstance(text, Mapping):
            text = text.get("default")
        if not isinstance(text, str):
            return None
        tokens = {str(name): str(token) for name, token in tokenizer.special_tokens_map.items()}
        return cls(text, tokens, beside_tool_use)

    def render(self, messages: Sequence[object], *, ask: bool = False) -> str:
        """Returns the text of one conversation, as `tokenizer.apply_chat_template` gives it.

        Raises:
            TemplateFaultError: The template refuses it.
            LimitError: It exceeds a limit.
        """
        (found,) = self.render_all([ChatRequest(messages, ask=ask)])
        if isinstance(found, TemplateFaultError):
            raise found
        return found.text

    def render_all(self, talks: Sequence[ChatRequest]) -> list[Rendered | TemplateFaultError]:
        """Returns each conversation as it is written, or why the template refuses it.

        Raises:
            TemplateFaultError: It is not a template.
            LimitError: A conversation, which it names by its place, exceeds a limit.
        """
        return [
            TemplateFaultError(told["fault"]) if "fault" in told else _rendered(told, talk)
            for talk, told in zip(talks, self._ask([_request(talk) for talk in talks]), strict=True)
        ]

    def _ask(self, requests: list[bytes]) -> list[dict[str, Any]]:
        global _told
        process = _process()
        with process:
            process.ready()
            key = (process.starts, self.text, dict(self.tokens))
            if key != _told:
                _told = None
                load = {"template": self.text, "tokens": dict(self.tokens), "pace": LIMITS.pace}
                (loaded,) = _answers(process, [_json(load)])
                if "fault" in loaded:
                    raise TemplateFaultError(loaded["fault"])
                _told = key
            return _answers(process, requests)


# One for all templates and all threads of this process; it gets a template once.
_shared: BoundedProcess | None = None
_told: tuple[int, str, dict[str, str]] | None = None


def _process() -> BoundedProcess:
    global _shared, _told
    if _shared is None or _shared.limits != LIMITS:
        if _shared is not None:
            _shared.close()
        _shared, _told = BoundedProcess(_HANDLER, LIMITS), None
    return _shared


def _answers(process: BoundedProcess, requests: list[bytes]) -> list[dict[str, Any]]:
    answers = []
    for place, answer in enumerate(process.ask(requests)):
        try:
            told = json.loads(answer.decode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise LimitError(place, "output", process.limits) from error
        answers.append(told)
    return answers


def _request(talk: ChatRequest) -> bytes:
    return _json(
        {
            "messages": talk.messages,
            "tools": talk.tools,
            "ask": talk.ask,
            "spans": talk.spans,
            "variants": [
                {"upto": each.upto, "ask": each.ask, "changes": each.changes, "tools": each.tools, "whole": each.whole}
                for each in talk.variants
            ],
        }
    )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _rendered(told: dict[str, Any], talk: ChatRequest) -> Rendered:
    found = list(zip(talk.variants, told["variants"], strict=True))
    return Rendered(
        text=told["text"],
        spans=[(start, end) for start, end in told["spans"]],
        overlaps=[None if each is None or wanted.whole else TextOverlap(*each) for wanted, each in found],
        texts=[each if wanted.whole else None for wanted, each in found],
    )
