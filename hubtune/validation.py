"""Describes errors in a document in its author's words: by key path, without the names of pydantic or Python."""

import datetime
import re
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_HAS_TO_BE = "this has to be "
_MAPPING = f"{_HAS_TO_BE}a mapping of keys to values"
_WORDS = {
    "missing": "this key is missing",
    "extra_forbidden": "there is no such key",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "list_type": f"{_HAS_TO_BE}a list",
    "tuple_type": f"{_HAS_TO_BE}a list",
    "string_type": f"{_HAS_TO_BE}text",
    "int_type": f"{_HAS_TO_BE}a whole number",
    "int_parsing": f"{_HAS_TO_BE}a whole number",
    "int_from_float": f"{_HAS_TO_BE}a whole number",
    "float_type": f"{_HAS_TO_BE}a number",
    "float_parsing": f"{_HAS_TO_BE}a number",
    "finite_number": f"{_HAS_TO_BE}a finite number",
    "bool_type": f"{_HAS_TO_BE}true or false",
    "bool_parsing": f"{_HAS_TO_BE}true or false",
    "none_required": f"{_HAS_TO_BE}null",
    "invalid_key": "every key has to be text",
}
_REWORDED = (
    (re.compile(r"^(?:Value|Assertion) (?:error|failed), "), ""),
    (re.compile(r"^Input should be "), _HAS_TO_BE),
    (re.compile(r"^Input should "), "this has to "),
    (re.compile(r"^String should "), "the text has to "),
    (re.compile(r"^(?:List|Tuple) should "), "the list has to "),
    (re.compile(r"^Dictionary should "), "the mapping has to "),
    (re.compile(r" after validation, not \d+$"), ""),
    (re.compile(r"greater than or equal to "), "at least "),
    (re.compile(r"less than or equal to "), "at most "),
)
# What pydantic puts into the place of a value that may be of several types, beside words that are not names of keys.
_TYPES = frozenset({"int", "float", "str", "bool", "none", "null", "list", "dict"})
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class DocumentFault:
    """One fault of a document: the key path that it is at (empty for the whole), pydantic's kind, and what is wrong."""

    path: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def faults_of(error: ValidationError, *, values: bool = False) -> list[DocumentFault]:
    """Returns every fault of a document, one for each place.

    Args:
        error: What validating the document raised.
        values: Whether to show the values that are wrong; not for documents that hold secrets.
    """
    found: dict[str, DocumentFault] = {}
    for fault in error.errors(include_url=False):
        path, text = _path(fault), _text(fault, values=values)
        if (before := found.get(path)) is not None and "extra_forbidden" not in (before.kind, fault["type"]):
            # A value of several types has a fault for each of them.
            text = _either(before.text, text)
        found[path] = DocumentFault(path, fault["type"], text)
    # What is wrong within a value says more than that it is not of another type.
    return [fault for path, fault in found.items() if not any(_is_within(other, path) for other in found)]


def _is_within(path: str, above: str) -> bool:
    return bool(above) and path.startswith((f"{above}.", f"{above}["))


def _path(fault: ErrorDetails) -> str:
    *above, last = fault["loc"] or ("",)
    keys = [part for part in above if isinstance(part, int) or _is_key(part)]
    if fault["type"] in ("extra_forbidden", "missing") or isinstance(last, int) or _is_key(last):
        keys.append(last)
    return re.sub(r"(?:^|\.)(\d+)(?=\.|$)", r"[\1]", ".".join(str(part) for part in keys))


def _is_key(part: str) -> bool:
    return part.isidentifier() and part not in _TYPES


def _text(fault: ErrorDetails, *, values: bool) -> str:
    text = _WORDS.get(fault["type"])
    if text is None:
        text = fault["msg"]
        for pattern, words in _REWORDED:
            text = pattern.sub(words, text)
        text = text[:1].lower() + text[1:]
    given = fault["input"]
    if fault["type"] in ("missing", "extra_forbidden"):
        return text
    if fault["type"] == "string_type" and isinstance(given, bool | int | float | datetime.date):
        text += ", in quotes"
    shown = _shown(given) if values else None
    return f"{text} (it is {shown})" if shown is not None and shown not in text else text


def _shown(given: object) -> str | None:
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, str):
        return repr(given) if len(given) <= _LONGEST_VALUE else f"{given[:_LONGEST_VALUE]!r}…"
    return str(given) if isinstance(given, int | float | datetime.date) else None


def _either(one: str, other: str) -> str:
    first, _, given = one.partition(" (it is ")
    second = other.partition(" (it is ")[0]
    second = second.removeprefix(_HAS_TO_BE) if first.startswith(_HAS_TO_BE) else second
    if second in first:
        return one
    return f"{first}, or {second}" + (f" (it is {given}" if given else "")
