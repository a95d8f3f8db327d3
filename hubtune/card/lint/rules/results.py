"""The results in the metadata, compared with those in the text."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

from hubtune.card.lint.card import Card
from hubtune.card.lint.document import Section
from hubtune.card.lint.registry import Hit, rule
from hubtune.config.fields import is_commit
from hubtune.documents import KeyPath, show_path

_NOT_NUMBERS = frozenset({"nan", ".nan", "inf", "-inf", "+inf", ".inf", "-.inf", "none", "null", "n/a", "na", "-", ""})


@dataclass(frozen=True)
class IndexedMetric:
    """One value of a model-index; `dataset` says what it was measured on."""

    path: KeyPath
    type: str
    name: str
    dataset: str
    value: object

    @property
    def number(self) -> float | None:
        """The value, if it is a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return None
        return float(self.value) if math.isfinite(self.value) else None


def indexed_metrics(card: Card) -> Iterator[IndexedMetric]:
    """Yields every metric of a card's model-index, whatever else is wrong with it."""
    for path, result in _results(card):
        measured_on = result.get("dataset")
        named = measured_on if isinstance(measured_on, dict) else {}
        dataset = " ".join(str(named[key]) for key in ("type", "config", "split") if named.get(key) is not None)
        for m, metric in enumerate(_list(result.get("metrics"))):
            if isinstance(metric, dict):
                yield IndexedMetric(
                    path=(*path, "metrics", m),
                    type=str(metric.get("type")),
                    name=str(metric.get("name", "")),
                    dataset=dataset,
                    value=metric.get("value"),
                )


@rule("model-index-value")
def value(card: Card) -> Iterator[Hit]:
    """Values of results are numbers, not texts such as "n/a"."""
    for metric in indexed_metrics(card):
        if isinstance(metric.value, str) and metric.value.strip().lower() in _NOT_NUMBERS:
            place = show_path((*metric.path, "value"))
            yield Hit(card.line(*metric.path, "value"), f"{place} is {metric.value!r}; leave out what was not measured")


@rule("model-index-dataset")
def dataset(card: Card) -> Iterator[Hit]:
    """Each result has the id and the name of its dataset."""
    for path, result in _results(card):
        found = result.get("dataset")
        for key in ("type", "name") if isinstance(found, dict) else ():
            if isinstance(found, dict) and key not in found:
                place = show_path((*path, "dataset"))
                yield Hit(card.line(*path, "dataset"), f"{place} has no `{key}`, and the Hub ignores such a result")


@rule("model-index-task")
def task(card: Card) -> Iterator[Hit]:
    """Each result names its task and has at least one metric."""
    for path, result in _results(card):
        if not result.get("task"):
            yield Hit(card.line(*path), f"{show_path(path)} has no `task`, and the Hub ignores such a result")
        if not result.get("metrics"):
            yield Hit(card.line(*path), f"{show_path(path)} has no `metrics`, so it states no result", "warning")


@rule("model-index-revision", "warning")
def revision(card: Card) -> Iterator[Hit]:
    """The revision of a dataset is a commit, because a branch can move."""
    for path, result in _results(card):
        found = result.get("dataset")
        named = found.get("revision") if isinstance(found, dict) else None
        if isinstance(named, str) and not is_commit(named):
            place = show_path((*path, "dataset", "revision"))
            said = f"{place} is {named!r}, which can move; write the commit, 40 hexadecimal digits"
            yield Hit(card.line(*path, "dataset", "revision"), said)


def _results(card: Card) -> Iterator[tuple[KeyPath, Mapping[str, object]]]:
    for m, model in enumerate(_list(card.data.get("model-index"))):
        for r, result in enumerate(_list(model.get("results")) if isinstance(model, dict) else ()):
            if isinstance(result, dict):
                yield ("model-index", m, "results", r), result


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


# Not part of a name such as GPT-4 or 7B, of a version or of a date.
# Minus signs come as hyphens, as U+2212 and as dashes.
_SIGN = "-+\N{MINUS SIGN}\N{EN DASH}"
_NUMBER = re.compile(
    rf"(?<![\w.,-])([{_SIGN}]?\d{{1,3}}(?:,\d{{3}})+(?:\.\d{{1,15}})?"
    rf"|[{_SIGN}]?\d{{1,15}}(?:\.\d{{1,15}})?(?:e[-+]?\d{{1,2}})?)(?![\w-]|[.,]\d)",
    re.IGNORECASE | re.ASCII,
)
_ROUNDINGS = (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)
_MOST_DECIMALS = 15
# A rounded number stands for an exact one if it differs by no more than this share of it.
_COARSEST = Decimal("0.02")


def numbers_in(text: str) -> list[Decimal]:
    """Returns the numbers of a text as they are written, digits after the point included."""
    return [Decimal(_plain(match[1])) for match in _NUMBER.finditer(text)]


def has_measurement(text: str) -> bool:
    """Whether a number is in a text that is not part of a name."""
    return _NUMBER.search(text) is not None


class ShownNumbers:
    """The numbers that a text shows, to be asked whether an exact value is among them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_decimals: dict[int, set[Decimal]] = defaultdict(set)
        for text in texts:
            for number in numbers_in(text):
                exponent = number.as_tuple().exponent
                self._by_decimals[max(0, -exponent) if isinstance(exponent, int) else 0].add(number)

    def hold(self, value: float) -> bool:
        """Whether the value, rounded or as a percentage or a fraction, is among the numbers."""
        return any(self._holds(Decimal(repr(value)) * factor) for factor in (1, 100, Decimal("0.01")))

    def _holds(self, exact: Decimal) -> bool:
        for decimals, shown in self._by_decimals.items():
            for rounding in _ROUNDINGS:
                try:
                    rounded = exact.quantize(Decimal(1).scaleb(-min(decimals, _MOST_DECIMALS)), rounding)
                except InvalidOperation:
                    continue
                if rounded in shown and abs(rounded - exact) <= _COARSEST * abs(exact):
                    return True
        return False


def _plain(written: str) -> str:
    return written.replace(",", "").replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-")


# Cards with the results of a whole benchmark suite have thousands.
_MOST_APART = 10
_EVALUATION = re.compile(r"\b(?:evaluat\w+|results?|performance|benchmarks?|metrics?|scores?)\b", re.IGNORECASE)
_TUNED = re.compile(r"^(?:tuned|with adapter|adapter|fine-tuned|this model)$", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[\W_]+")


def evaluation_sections(card: Card) -> list[Section]:
    """Returns the sections that are about results."""
    return [section for section in card.document.sections() if _EVALUATION.search(section.heading.title)]


@rule("model-index-unshown", "warning")
def unshown(card: Card) -> Iterator[Hit]:
    """The results in the metadata are also in the evaluation section."""
    metrics = [(metric, metric.number) for metric in indexed_metrics(card)]
    if not metrics:
        return
    lines = card.body.split("\n")
    parts = [line for section in evaluation_sections(card) for line in lines[section.heading.line : section.end - 1]]
    shown = ShownNumbers(parts or lines)
    missing = [(metric, number) for metric, number in metrics if number is not None and not shown.hold(number)]
    for metric, number in missing[:_MOST_APART]:
        place = f"{metric.type} is {number:g} in {show_path(metric.path)}"
        yield Hit(card.line(*metric.path, "value"), f"{place}, and the card's evaluation does not show it")
    if len(missing) > _MOST_APART:
        line = card.line(*missing[_MOST_APART][0].path, "value")
        yield Hit(line, f"{len(missing) - _MOST_APART} more results of the metadata are not in the evaluation")


@rule("evaluation-contradiction")
def contradiction(card: Card) -> Iterator[Hit]:
    """The evaluation table of a card of hubtune shows the values of the metadata."""
    if not card.own:
        return
    exact: dict[str, list[float]] = {}
    for metric in indexed_metrics(card):
        if metric.number is not None:
            # A card's tables have the measure's name in words, which the metadata's names begin with.
            for name in {_fold(metric.type), _fold(metric.name.partition(" on ")[0])}:
                exact.setdefault(name, []).append(metric.number)
    within = [(section.heading.line, section.end) for section in evaluation_sections(card)]
    for table in card.document.tables:
        column = next((n for n, title in enumerate(table.titles) if _TUNED.match(title)), None)
        for line, cells in table.rows if column is not None else ():
            values = exact.get(_fold(cells[0])) if cells else None
            if column is None or not values or len(cells) <= column or not any(a <= line < b for a, b in within):
                continue
            shown = ShownNumbers([cells[column]])
            if numbers_in(cells[column]) and not any(shown.hold(value) for value in values):
                told = " or ".join(f"{value:g}" for value in values[:3])
                yield Hit(line, f"the table says {cells[0]} {cells[column]}, and the metadata says {told}")


def _fold(name: str) -> str:
    return _NOT_IN_NAMES.sub("", name.casefold())
