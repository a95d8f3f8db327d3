"""What a person sees of two cards' differences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue

if TYPE_CHECKING:
    from hubtune.card.diff import CardDiff, ComparedCard, ResultChange

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def change_lines(changes: "CardDiff") -> list[str]:
    """Returns the differences as lines: metadata, results, then each section's unified diff."""
    return [printable(line) for line in _lines(changes)]


def _lines(changes: "CardDiff") -> Iterator[str]:
    yield f"A: {_side(changes.a)}"
    yield f"B: {_side(changes.b)}"
    if changes.metadata:
        yield from ("", "Metadata")
    for entry in changes.metadata:
        shown = {
            "added": show(entry.after),
            "removed": show(entry.before),
            "changed": f"{show(entry.before)} -> {show(entry.after)}",
        }[entry.change]
        yield f"  {_MARKS[entry.change]} {entry.key}: {shown}"
    if changes.results:
        yield from ("", "Results")
    yield from (f"  {_result(result)}" for result in changes.results)
    if changes.sections:
        yield from ("", "Sections")
    for section in changes.sections:
        yield f"  {_MARKS[section.change]} {section.title or '(before the first heading)'}"
        yield from (f"      {line}" for line in section.diff)
    if not (changes.metadata or changes.sections or any(one.before != one.after for one in changes.results)):
        yield from ("", "The cards say the same.")


def _result(result: "ResultChange") -> str:
    line = f"{result.metric} on {result.dataset}: {show(result.before)} -> {show(result.after)}"
    if isinstance(result.before, int | float) and isinstance(result.after, int | float):
        return f"{line} ({result.after - result.before:+.4g})"
    return line


def show(value: JsonValue) -> str:
    """Returns a value as it stands in a line of changes."""
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _side(card: "ComparedCard") -> str:
    return card.path or f"{card.repo}@{card.commit}"


def printable(line: str) -> str:
    """Returns a line without what a terminal acts upon."""
    return "".join(character if character.isprintable() else " " for character in line)
