"""Renders conversations with a chat template, as `tokenizer.apply_chat_template` of transformers does.

It runs in a separate process (`hubtune.templating.process`), without the time and memory of importing transformers. A
test compares the output of both byte by byte.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from hubtune.templating.process import TooLongError, TooSlowError

_LONGEST_FAULT = 200
# So many conversations tell a slow template from a large conversation.
_SEVERAL = 10
# Names of a message's reasoning. The first is the one that templates read, and gpt-oss reads the second.
_REASONING = ("reasoning_content", "thinking", "reasoning")

Messages = list[dict[str, Any]]


class _Generation(jinja2.ext.Extension):
    """`{% generation %}`, which marks what the assistant writes."""

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self.tags = {"generation"}
        self.written: int | None = None
        self.spans: list[tuple[int, int]] = []

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Macro) -> str:
        text: str = caller()
        if self.written is not None:
            self.spans.append((self.written, self.written + len(text)))
        return text

    @contextmanager
    def tracked(self) -> Iterator[None]:
        """Notes the spans of what is rendered meanwhile."""
        self.written, self.spans = 0, []
        try:
            yield
        finally:
            self.written = None


class _Dict:
    """`dict` for templates: not the class itself, whose attributes would lead further."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **values)


class _Namespace(Namespace):
    def __init__(*args: Any, **values: Any) -> None:
        self, rest = args[0], args[1:]
        given = dict(*rest, **values)
        for name in given:
            _check_name(name)
        Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace holds no name that begins with an underscore: {name!r}")


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().strftime(format)


def _to_json(
    x: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class _Template:
    """A compiled template with the special tokens that it may name, and how fast it is.

    Args:
        text: Jinja text.
        tokens: Special tokens.
        pace: Seconds of processor time for one text, on average over those of a conversation.
    """

    def __init__(self, text: str, tokens: dict[str, Any], pace: float) -> None:
        self._pace, self._timed, self._slow = pace, 0, 0
        engine = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        engine.filters["tojson"] = _to_json
        engine.globals.update(
            raise_exception=_raise_exception, strftime_now=_strftime_now, dict=_Dict(), namespace=_Namespace
        )
        self._tokens = tokens
        self._generation = next(each for each in engine.extensions.values() if isinstance(each, _Generation))
        self._compiled = engine.from_string(text)

    def render(self, messages: Messages, tools: list[Any] | None, *, ask: bool, most: int) -> str:
        """Returns the text of a conversation, or of what is asked with it.

        Raises:
            Exception: Whatever the template raises.
            TooLongError: The text is longer than `most`.
        """
        if not messages:
            return ""
        parts: list[str] = []
        length = 0
        values = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": ask}
        for part in self._compiled.generate(**{**values, **self._tokens}):
            length += len(part)
            if length > most:
                raise TooLongError
            if self._generation.written is not None:
                self._generation.written = length
            parts.append(part)
        text = "".join(parts)
        # What cannot be stored as UTF-8 is not a text that a tokenizer could take.
        text.encode()
        return text

    def timed(self, seconds: float, texts: int) -> None:
        """Counts a conversation.

        Raises:
            TooSlowError: Most of several were slow.
        """
        self._timed += 1
        self._slow += seconds > texts * self._pace
        if self._timed >= _SEVERAL and 2 * self._slow > self._timed:
            raise TooSlowError

    def render_with_spans(self, messages: Messages, tools: list[Any] | None, most: int) -> tuple[str, list[Any]]:
        """The same, with the spans that the template marks."""
        with self._generation.tracked():
            return self.render(messages, tools, ask=False, most=most), self._generation.spans


_current: _Template | None = None


def handle(request: bytes, most: int) -> bytes:
    """Answers a request: a template to load, or a conversation to render by the last one that was loaded."""
    told = json.loads(request.decode("utf-8", "surrogatepass"))
    answer: dict[str, Any]
    try:
        answer = _load(told) if "template" in told else _render(told, most)
    except (MemoryError, TooLongError, TooSlowError):
        raise
    except Exception as error:  # noqa: BLE001 - a template is somebody's program, which may raise anything
        answer = {"fault": _words(error)}
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _load(told: dict[str, Any]) -> dict[str, Any]:
    global _current
    _current = None
    _current = _Template(told["template"], told["tokens"], told["pace"])
    return {}


def _render(told: dict[str, Any], most: int) -> dict[str, Any]:
    template = _current
    if template is None:
        return {"fault": "the template was not loaded"}
    # The process's own clock stands still between ticks while a timer runs by it.
    started = time.thread_time()
    try:
        return _texts(template, told, most)
    finally:
        template.timed(time.thread_time() - started, 1 + len(told["variants"]))


def _texts(template: _Template, told: dict[str, Any], most: int) -> dict[str, Any]:
    messages, tools = _usual(told["messages"]), told["tools"]
    spans: list[Any] = []
    if told["spans"]:
        text, spans = template.render_with_spans(messages, tools, most)
    else:
        text = template.render(messages, tools, ask=told["ask"], most=most)

    def variant(wanted: dict[str, Any]) -> str | list[int] | None:
        others = messages
        if changed := {int(place): message for place, message in wanted["changes"].items()}:
            others = _usual([changed.get(place, message) for place, message in enumerate(told["messages"])])
        try:
            other = template.render(
                others[: wanted["upto"]], tools if wanted["tools"] else None, ask=wanted["ask"], most=most
            )
        except (MemoryError, TooLongError):
            raise
        except Exception:  # noqa: BLE001 - and so may making a value of it
            return None
        return other if wanted["whole"] else _shared(text, other)

    return {"text": text, "spans": spans, "variants": [variant(wanted) for wanted in told["variants"]]}


def _usual(messages: Messages) -> Messages:
    """Returns messages as transformers hands them to templates: without nulls, the reasoning under its usual names."""
    usual = []
    for message in messages:
        kept = {key: value for key, value in message.items() if value is not None}
        reasoning = next((kept[key] for key in _REASONING if key in kept), None)
        usual.append(kept if reasoning is None else {"thinking": reasoning, **kept, "reasoning_content": reasoning})
    return usual


def _shared(text: str, other: str) -> list[int]:
    """Returns the length of another text, and how many characters it has in common at its start and its end."""
    most = min(len(text), len(other))
    start = len(other) if text.startswith(other) else _longest(most, lambda size: text.startswith(other[:size]))
    end = _longest(most - min(start, most), lambda size: size == 0 or text.endswith(other[-size:]))
    return [len(other), start, end]


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """Returns the largest size that fits; with one, all that are smaller do."""
    least = 0
    while least < most:
        middle = (least + most + 1) // 2
        if fits(middle):
            least = middle
        else:
            most = middle - 1
    return least


def _words(error: Exception) -> str:
    """Returns what was wrong, in one line."""
    if isinstance(error, UnicodeEncodeError):
        return "it writes an unpaired surrogate"
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or calls itself for ever"
    line = (str(error).strip().splitlines() or [""])[0][:_LONGEST_FAULT].rstrip(".")
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"line {error.lineno}: {line}"
    if isinstance(error, jinja2.TemplateError):
        return line or type(error).__name__
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
