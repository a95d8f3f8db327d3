"""Praise without a measurement."""

import re
from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule
from hubtune.card.lint.rules.model_index import indexed_metrics
from hubtune.card.lint.rules.results import evaluation_sections
from hubtune.card.lint.shown_numbers import has_measurement

_CLAIM = re.compile(
    r"\b(?:state[- ]of[- ]the[- ]art|sota|outperform(?:s|ed|ing)?|surpass(?:es|ed)|beats"
    r"|(?:significantly|much|far|substantially|considerably|dramatically) (?:better|faster|stronger|more accurate)"
    r"|(?:superior|unmatched|unparalleled|unrivall?ed)"
    r"|(?:cutting[- ]edge|best[- ]in[- ]class|world[- ]class|human[- ]level)"
    r"|(?:the|our|its) (?:very )?best (?:\w+[- ]){0,3}(?:models?|results?|performance|accuracy|scores?|quality|open)"
    r"|better than (?:gpt|llama|claude|gemini|mistral|all|any|every|other|most)"
    r"|achiev(?:es|ed|ing) (?:excellent|outstanding|impressive|remarkable|great))\b",
    re.IGNORECASE,
)


@rule("claim-without-number", "warning")
def claim_without_number(card: Card) -> Iterator[Hit]:
    """Who claims to be better says by how much, or shows an evaluation."""
    if any(metric.number is not None for metric in indexed_metrics(card)) or _shows_evaluation(card):
        return
    for paragraph in card.document.paragraphs:
        claim = _CLAIM.search(paragraph.text)
        if claim and not has_measurement(paragraph.text):
            line = paragraph.line + paragraph.text.count("\n", 0, claim.start())
            yield Hit(line, f'"{claim[0]}" is claimed, with no number here and no evaluation on the card')


def _shows_evaluation(card: Card) -> bool:
    parts = [(section.heading.line, section.end) for section in evaluation_sections(card)]
    return any(
        has_measurement(line)
        for start, end in parts
        for line in card.body.split("\n")[start : max(start, end - 1)]
        if not _CLAIM.search(line)
    )
