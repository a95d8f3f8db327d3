"""The parts that a reader looks for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule
from hubtune.card.outline import SECTIONS


@dataclass(frozen=True)
class Topic:
    """What a card should say something on, and titles under which cards do."""

    name: str
    titles: re.Pattern[str]
    key: str | None = None


def _topic(name: str, titles: str, key: str | None = None) -> Topic:
    return Topic(name, re.compile(rf"\b(?:{titles})\b", re.IGNORECASE), key)


_LIMITS = _topic(
    "limitations and risks",
    r"limitations?|limits|risks?|bias(?:es)?|ethic\w*|caveats?|safety|considerations|responsib\w+",
)
_LICENSE = _topic("licence", r"licen[cs]\w*|terms of use", "license")
# After Mitchell et al., "Model Cards for Model Reporting" (2019), under the titles that the Hub's cards use.
MODEL_TOPICS = (
    _topic("intended use", r"us(?:e|es|e cases?|age)|intended|applications?|purpose|misuse|out[- ]of[- ]scope"),
    _topic("how to use it", r"how to|get(?:ting)? started|usage|quick ?start|inference|examples?|running|deploy\w*"),
    _topic("training data", r"data(?:[ -]?sets?)?|corpus|corpora|training"),
    _topic("evaluation", r"evaluat\w+|results?|performance|benchmarks?|metrics?|scores?|accuracy"),
    _LIMITS,
    _LICENSE,
)
"""What a model's card says."""
DATA_TOPICS = (
    _topic("uses", r"us(?:e|es|e cases?|age)|tasks?|leaderboards?|how to|intended|purpose"),
    _topic("structure", r"structure|fields?|instances?|splits?|schema|columns|format|configurations?|statistics"),
    _topic(
        "source and collection",
        r"source|curation|creation|collect\w+|annotations?|origin|provenance|processing|methodology",
    ),
    _LIMITS,
    _LICENSE,
)
"""What a data set's card says."""


@rule("section-missing", "warning")
def section_missing(card: Card) -> Iterator[Hit]:
    """The card has the sections that readers look for; a card of hubtune has all of hubtune's."""
    titles = [*(heading.title for heading in card.document.headings), *card.document.html_headings]
    if card.own:
        present = {heading.title for heading in card.document.headings if heading.level <= 2}
        for section in SECTIONS:
            if section.title not in present:
                yield Hit(card.document.last_line, f"section {section.title}: missing", "error")
        return
    for topic in MODEL_TOPICS if card.kind == "model" else DATA_TOPICS:
        if not (topic.key and card.data.get(topic.key)) and not any(topic.titles.search(title) for title in titles):
            yield Hit(card.document.last_line, f"no section is about {topic.name}")


@rule("section-empty", "warning")
def section_empty(card: Card) -> Iterator[Hit]:
    """No section is empty."""
    inside = 0
    for section in card.document.sections():
        if section.filled or section.heading.line < inside:
            continue
        # What is empty as a whole is one finding, not one for each heading in it.
        inside = section.end
        yield Hit(section.heading.line, f"section {section.heading.title}: empty", "error" if card.own else None)
