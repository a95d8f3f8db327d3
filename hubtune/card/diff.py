"""What changed between two cards: metadata key by key, results side by side, sections line by line."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import JsonValue

from hubtune.card.lint.card import MOST_BYTES, Card, CardSource, read_card
from hubtune.card.lint.rules.results import indexed_metrics
from hubtune.documents import KeyPath, show_path
from hubtune.errors import CardError
from hubtune.records.base import Record

Change = Literal["added", "removed", "changed"]

# Comparing line by line takes time that grows with the square of the lines.
_MOST_LINES = 2_000
_RESULTS = "model-index"


class ComparedCard(Record):
    """One side: the card's file, or its repository and commit."""

    path: str | None
    repo: str | None
    commit: str | None


class MetadataChange(Record):
    """One key of the metadata; `before` or `after` is null if that side lacks it."""

    key: str
    change: Change
    before: JsonValue
    after: JsonValue


class ResultChange(Record):
    """One metric of the model-index, even if it did not change; null if a side lacks it."""

    metric: str
    dataset: str
    before: JsonValue
    after: JsonValue


class SectionChange(Record):
    """One section; `title` begins with the titles of the sections around it, `diff` has the lines of a unified diff."""

    title: str
    change: Change
    diff: list[str]


class CardDiff(Record):
    """What changed from card `a` to card `b`."""

    a: ComparedCard
    b: ComparedCard
    metadata: list[MetadataChange]
    results: list[ResultChange]
    sections: list[SectionChange]


def diff_cards(before: CardSource, after: CardSource) -> CardDiff:
    """Compares two cards.

    Raises:
        CardError: One of them is too large, or its metadata cannot be read.
    """
    first, second = _read(before), _read(after)
    return CardDiff(
        a=_side(before),
        b=_side(after),
        metadata=list(_metadata(first.data, second.data)),
        results=list(_results(first, second)),
        sections=list(_sections(_texts(first), _texts(second))),
    )


def _read(source: CardSource) -> Card:
    where = source.path or source.repo
    if len(source.content) > MOST_BYTES:
        raise CardError(
            f"{where}: the card is larger than {MOST_BYTES:,} bytes, so it is not compared.", hint="Shorten it."
        )
    card = read_card(source, source.content.decode(errors="replace"))
    if card.fault is not None:
        raise CardError(
            f"{where}: the card's metadata cannot be read.",
            details=[" ".join(str(card.fault).split())],
            hint=f"See what is wrong with it: hubtune card lint {where}",
        )
    return card


def _side(source: CardSource) -> ComparedCard:
    return ComparedCard(path=source.path, repo=source.repo, commit=source.commit)


def _metadata(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[MetadataChange]:
    first, second = dict(leaves(before)), dict(leaves(after))
    for path in dict.fromkeys([*first, *second]):
        # The values of results are shown side by side apart.
        is_value = path[0] == _RESULTS and path[-1] == "value"
        if not is_value and (path not in first or path not in second or first[path] != second[path]):
            change: Change = "added" if path not in first else "removed" if path not in second else "changed"
            yield MetadataChange(key=show_path(path), change=change, before=first.get(path), after=second.get(path))


def leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, JsonValue]]:
    """Yields each value with its place; a list without structure in it is one value."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for n, item in enumerate(value):
            yield from leaves(item, (*path, n))
    elif path:
        yield path, _json(value)


def _json(value: object) -> JsonValue:
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _results(before: Card, after: Card) -> Iterator[ResultChange]:
    first, second = _measured(before), _measured(after)
    for key in dict.fromkeys([*first, *second]):
        metric, dataset, _ = key
        yield ResultChange(metric=metric, dataset=dataset, before=first.get(key), after=second.get(key))


def _measured(card: Card) -> dict[tuple[str, str, int], JsonValue]:
    found: dict[tuple[str, str, int], JsonValue] = {}
    for metric in indexed_metrics(card):
        name = metric.name if metric.name and metric.name != metric.type else ""
        shown = f"{metric.type} ({name})" if name else metric.type
        number = sum(key[:2] == (shown, metric.dataset) for key in found)
        found[(shown, metric.dataset, number)] = _json(metric.value)
    return found


def _texts(card: Card) -> dict[str, list[str]]:
    """Returns the lines of each section by its title, up to the next heading.

    What is before the second heading has no title: a card's first heading is the model's name, which may change.
    """
    lines = card.body.split("\n")
    headings = card.document.headings[1 if card.document.headings[:1] and card.document.headings[0].level == 1 else 0 :]
    ends = [*(heading.line - 1 for heading in headings), len(lines)]
    found = {"": _trimmed(lines[: ends[0]])}
    around: list[tuple[int, str]] = []
    seen: Counter[str] = Counter()
    for heading, end in zip(headings, ends[1:], strict=True):
        around = [(level, title) for level, title in around if level < heading.level]
        around.append((heading.level, heading.title))
        title = " > ".join(title for _, title in around)
        seen[title] += 1
        found[title if seen[title] == 1 else f"{title} ({seen[title]})"] = _trimmed(lines[heading.line : end])
    return {title: text for title, text in found.items() if title or text}


def _trimmed(lines: list[str]) -> list[str]:
    text = "\n".join(lines).strip("\n")
    return text.split("\n") if text else []


def _sections(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> Iterator[SectionChange]:
    for title in dict.fromkeys([*before, *after]):
        first, second = before.get(title, []), after.get(title, [])
        if title not in before or title not in after:
            change: Change = "added" if title not in before else "removed"
            yield SectionChange(title=title, change=change, diff=_unified(first, second))
        elif first != second:
            yield SectionChange(title=title, change="changed", diff=_unified(first, second))


def _unified(first: list[str], second: list[str]) -> list[str]:
    if max(len(first), len(second)) > _MOST_LINES:
        return [f"@@ {len(first):,} lines became {len(second):,}, too many to compare one by one @@"]
    return list(difflib.unified_diff(first, second, lineterm="", n=2))[2:]
