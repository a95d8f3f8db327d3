"""The evaluation results in the metadata, beyond what the Hub itself demands."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule
from hubtune.config.fields import is_commit
from hubtune.metadata.fault import show_path
from hubtune.metadata.front_matter import KeyPath

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
    """Values of results are numbers, not words for the lack of one."""
    for metric in indexed_metrics(card):
        if isinstance(metric.value, str) and metric.value.strip().lower() in _NOT_NUMBERS:
            place = show_path((*metric.path, "value"))
            yield Hit(card.line(*metric.path, "value"), f"{place} is {metric.value!r}; leave out what was not measured")


@rule("model-index-dataset")
def dataset(card: Card) -> Iterator[Hit]:
    """Each result names the data set that it was measured on, by id and in words."""
    for path, result in _results(card):
        found = result.get("dataset")
        for key in ("type", "name") if isinstance(found, dict) else ():
            if isinstance(found, dict) and key not in found:
                place = show_path((*path, "dataset"))
                yield Hit(card.line(*path, "dataset"), f"{place} has no `{key}`, and the Hub leaves such a result out")


@rule("model-index-task")
def task(card: Card) -> Iterator[Hit]:
    """Each result names its task, and holds at least one metric."""
    for path, result in _results(card):
        if not result.get("task"):
            yield Hit(card.line(*path), f"{show_path(path)} has no `task`, and the Hub leaves such a result out")
        if not result.get("metrics"):
            yield Hit(card.line(*path), f"{show_path(path)} has no `metrics`, so that it says nothing", "warning")


@rule("model-index-revision", "warning")
def revision(card: Card) -> Iterator[Hit]:
    """A data set's revision is a commit, since a branch moves on."""
    for path, result in _results(card):
        found = result.get("dataset")
        named = found.get("revision") if isinstance(found, dict) else None
        if isinstance(named, str) and not is_commit(named):
            place = show_path((*path, "dataset", "revision"))
            said = f"{place} is {named!r}, which can move; name the commit, 40 hexadecimal digits"
            yield Hit(card.line(*path, "dataset", "revision"), said)


def _results(card: Card) -> Iterator[tuple[KeyPath, Mapping[str, object]]]:
    for m, model in enumerate(_list(card.data.get("model-index"))):
        for r, result in enumerate(_list(model.get("results")) if isinstance(model, dict) else ()):
            if isinstance(result, dict):
                yield ("model-index", m, "results", r), result


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
