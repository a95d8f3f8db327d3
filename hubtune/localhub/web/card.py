"""What a page shows of a README: its text, and those facts of its front matter that are of a known shape."""

import re
from collections.abc import Callable, Iterator, Mapping

from hubtune.documents import UnreadableError
from hubtune.metadata.front_matter import front_matter, split_card
from hubtune.records.views import Card, CardFacts, Reference, RepoKind, Result

_MOST = 200
_LONGEST = 300

Finder = Callable[[str, RepoKind], str | None]
"""Returns the path of a repository's page, or None where there is none to show."""


def read_card(text: str, find: Finder) -> Card:
    """Reads a README.

    Args:
        text: The whole file.
        find: Finds the repositories that it names.
    """
    try:
        matter = front_matter(text) or {}
    except UnreadableError as error:
        return Card(body_of(text), problem=f"it {error}")
    return Card(body_of(text), _facts(matter, find))


def body_of(text: str) -> str:
    """Returns the Markdown below the front matter."""
    return split_card(text)[1]


def _facts(matter: Mapping[str, object], find: Finder) -> CardFacts:
    licenses = list(_words(matter.get("license")))
    named = next(_words(matter.get("license_name")), None)
    return CardFacts(
        license=named if licenses == ["other"] and named else ", ".join(licenses) or None,
        license_link=next(_words(matter.get("license_link")), None),
        base_models=tuple(Reference(id_, find(id_, "model")) for id_ in _words(matter.get("base_model"))),
        relation=next(_words(matter.get("base_model_relation")), None),
        datasets=tuple(Reference(id_, find(id_, "dataset")) for id_ in _words(matter.get("datasets"))),
        languages=tuple(_words(matter.get("language"))),
        task=", ".join(_words(matter.get("pipeline_tag") or matter.get("task_categories"))) or None,
        library=next(_words(matter.get("library_name")), None),
        tags=tuple(_words(matter.get("tags"))),
        results=tuple(_results(matter.get("model-index")))[:_MOST],
    )


def _results(index: object) -> Iterator[Result]:
    for model in _mappings(index):
        for result in _mappings(model.get("results")):
            task, dataset = _mapping(result.get("task")), _mapping(result.get("dataset"))
            for metric in _mappings(result.get("metrics")):
                yield Result(
                    task=_word(task.get("name") or task.get("type")),
                    dataset=_word(dataset.get("name") or dataset.get("type")),
                    metric=_word(metric.get("name") or metric.get("type")),
                    value=_number(metric.get("value")),
                )


def _number(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) and 1e-4 <= abs(value) < 1e7 else _word(value, 40)


def _words(value: object) -> Iterator[str]:
    items = value if isinstance(value, list) else [value]
    for item in items[:_MOST]:
        if isinstance(item, (str, int, float)) and str(item).strip():
            yield _word(item)


def _word(value: object, longest: int = _LONGEST) -> str:
    text = "" if value is None or isinstance(value, (list, dict)) else re.sub(r"\s+", " ", str(value)).strip()
    return text if len(text) <= longest else text[:longest] + "…"


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    return (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
