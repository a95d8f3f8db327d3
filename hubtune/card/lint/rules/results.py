"""The results in the metadata against those in the text."""

import re
from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.document import Section
from hubtune.card.lint.registry import Hit, rule
from hubtune.card.lint.rules.model_index import indexed_metrics
from hubtune.card.lint.shown_numbers import ShownNumbers, numbers_in
from hubtune.metadata.fault import show_path

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
    """The results in the metadata stand in the card's evaluation too."""
    metrics = [(metric, metric.number) for metric in indexed_metrics(card)]
    if not metrics:
        return
    lines = card.body.split("\n")
    parts = [line for section in evaluation_sections(card) for line in lines[section.heading.line : section.end - 1]]
    shown = ShownNumbers(parts or lines)
    missing = [(metric, number) for metric, number in metrics if number is not None and not shown.hold(number)]
    for metric, number in missing[:_MOST_APART]:
        place = f"{metric.type} is {number:g} in {show_path(metric.path)}"
        yield Hit(card.line(*metric.path, "value"), f"{place}, and the card's evaluation shows no such number")
    if len(missing) > _MOST_APART:
        line = card.line(*missing[_MOST_APART][0].path, "value")
        yield Hit(line, f"{len(missing) - _MOST_APART} more results of the metadata are not in the evaluation")


@rule("evaluation-contradiction")
def contradiction(card: Card) -> Iterator[Hit]:
    """The evaluation table of hubtune's cards shows the values of the metadata."""
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
