"""Reads a row's conversation, in the form of OpenAI (role, content) or of ShareGPT (from, value), and checks it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubtune.data.segments import DroppedRowError, DropReason, sound_text
from hubtune.documents import UnreadableError, load_json

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
_ROLES = {
    **{role: role for role in ("system", "user", "assistant", "tool")},
    **{"developer": "system", "human": "user", "gpt": "assistant", "observation": "tool", "function_response": "tool"},
}


@dataclass(frozen=True)
class Conversation:
    """Messages as chat templates take them, and the tools that the assistant may call."""

    messages: list[dict[str, Json]]
    tools: list[Json] | None


def read_conversation(row: Mapping[str, object], columns: Mapping[str, str]) -> Conversation:
    """Reads and checks the conversation of a row.

    Raises:
        DroppedRowError: It cannot be learned from.
    """
    given = row[columns["messages"]]
    if given is None:
        raise DroppedRowError(DropReason.NULL)
    if not isinstance(given, list) or not given:
        raise DroppedRowError(DropReason.MESSAGES)
    messages = [_message(message) for message in given]
    _check_order([str(message["role"]) for message in messages])
    tools = _tools(row[columns["tools"]]) if "tools" in columns else None
    return Conversation(messages, tools)


def _message(given: object) -> dict[str, Json]:
    if not isinstance(given, dict):
        raise DroppedRowError(DropReason.MESSAGES)
    role, content = given.get("role", given.get("from")), given.get("content", given.get("value"))
    if not isinstance(role, str):
        raise DroppedRowError(DropReason.MESSAGES)
    if role not in _ROLES:
        raise DroppedRowError(DropReason.ROLE, repr(role)[:60])
    # Columns of mappings give every row every key, null if it had none.
    rest = {
        str(key): _sound(value)
        for key, value in given.items()
        if key not in {"role", "from", "content", "value", "weight"} and value not in (None, [])
    }
    calls = bool(rest.get("tool_calls"))
    if content is None and not calls:
        raise DroppedRowError(DropReason.NULL)
    if content is not None and not isinstance(content, str):
        raise DroppedRowError(DropReason.NOT_TEXT, _described(content))
    message: dict[str, Json] = {"role": _ROLES[role], "content": sound_text(content or ""), **rest}
    if _ROLES[role] == "assistant" and not calls and not (content or "").strip():
        raise DroppedRowError(DropReason.NO_RESPONSE)
    return message


def _described(content: object) -> str:
    """Returns what a content is that is not text, such as the parts that hold images."""
    if not isinstance(content, list):
        return type(content).__name__
    kinds = {str(part.get("type"))[:20] for part in content if isinstance(part, dict)}
    return f"a list of parts: {', '.join(sorted(kinds)[:5])}" if kinds else "a list"


def _check_order(roles: Sequence[str]) -> None:
    """Refuses conversations but: a system message or none; the user first; turns taken; the assistant last."""
    turns = roles[1:] if roles[0] == "system" else roles
    allowed = {"": {"user"}, "user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"tool", "assistant"}}
    before = ""
    for role in turns:
        if role not in allowed[before]:
            raise DroppedRowError(DropReason.ORDER, f"{role} after {before or 'the start'}")
        before = role
    if before != "assistant":
        raise DroppedRowError(DropReason.ORDER, f"the last is {before or 'system'}")


def _tools(given: object) -> list[Json] | None:
    if isinstance(given, str):
        if not given.strip():
            return None
        try:
            given = load_json(given)
        except UnreadableError:
            raise DroppedRowError(DropReason.TOOLS) from None
    if given is None or given == []:
        return None
    if not isinstance(given, list) or not all(isinstance(tool, dict) for tool in given):
        raise DroppedRowError(DropReason.TOOLS)
    return [_sound(tool) for tool in given]


def _sound(value: object) -> Json:
    """Returns a value of the data as plain JSON with sound texts, without the nulls that columns of mappings add."""
    if isinstance(value, str):
        return sound_text(value)
    if isinstance(value, dict):
        return {str(key): _sound(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_sound(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise DroppedRowError(DropReason.MESSAGES, type(value).__name__)
