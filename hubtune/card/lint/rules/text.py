"""The text of the card: whether it is readable, and characters and tags that do more than show text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hubtune.card.custom_templates import SECTIONS
from hubtune.card.lint.card import LONGEST_LINE, Card
from hubtune.card.lint.registry import Hit, Rule, add_rule, rule
from hubtune.card.lint.rules.results import evaluation_sections, has_measurement, indexed_metrics
from hubtune.card.markdown import locate_placeholders

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ACTIVE_TAGS = ("script", "iframe", "object", "embed")


def _before_the_text(_card: Card) -> Iterator[Hit]:
    # Whoever decodes the card has found these already.
    return iter(())


TOO_LARGE = Rule("card-too-large", "error", "The card has at most 1,000,000 bytes.", _before_the_text)
NOT_UTF8 = Rule("not-utf8", "error", "The card is UTF-8 text.", _before_the_text)
add_rule(TOO_LARGE)
add_rule(NOT_UTF8)


@rule("control-character")
def control_character(card: Card) -> Iterator[Hit]:
    """There are no control characters except tabs and line ends."""
    for number, line in enumerate(card.text.split("\n"), 1):
        found = _CONTROL.search(line)
        if found:
            yield Hit(number, f"the control character U+{ord(found[0]):04X} is here")


@rule("direction-character")
def direction_character(card: Card) -> Iterator[Hit]:
    """No character changes the visible order of the text."""
    for number, line in enumerate(card.text.split("\n"), 1):
        found = _DIRECTION.search(line)
        if found:
            yield Hit(number, f"U+{ord(found[0]):04X} changes the writing direction and can hide text")


@rule("long-line", "warning")
def long_line(card: Card) -> Iterator[Hit]:
    """No line is longer than 20,000 characters."""
    for number, line in enumerate(card.text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            yield Hit(number, f"the line has {len(line):,} characters, so it was not checked")


@rule("unclosed-fence")
def unclosed_fence(card: Card) -> Iterator[Hit]:
    """Every code block that is opened is closed."""
    for fence in card.document.fences:
        if not fence.closed:
            yield Hit(fence.line - 1, "this code block is never closed, so it includes everything after it")


@rule("active-html")
def active_html(card: Card) -> Iterator[Hit]:
    """No HTML runs scripts or embeds other content."""
    for tag in card.document.tags:
        if tag.name in _ACTIVE_TAGS:
            yield Hit(tag.line, f"<{tag.name}> runs scripts or embeds content; the Hub removes it")
        elif any(name.startswith("on") for name in tag.attributes):
            yield Hit(tag.line, f"<{tag.name}> has a handler that runs a script; the Hub removes it")


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
    """A claim to be better has a number or an evaluation."""
    if any(metric.number is not None for metric in indexed_metrics(card)) or _shows_evaluation(card):
        return
    for paragraph in card.document.paragraphs:
        claim = _CLAIM.search(paragraph.text)
        if claim and not has_measurement(paragraph.text):
            line = paragraph.line + paragraph.text.count("\n", 0, claim.start())
            yield Hit(line, f'"{claim[0]}" is a claim without a number, and the card has no evaluation')


def _shows_evaluation(card: Card) -> bool:
    parts = [(section.heading.line, section.end) for section in evaluation_sections(card)]
    return any(
        has_measurement(line)
        for start, end in parts
        for line in card.body.split("\n")[start : max(start, end - 1)]
        if not _CLAIM.search(line)
    )


_VARIABLE = re.compile(r"""\{[{%]-? ?[a-z_][\w. |()\[\]"',-]* ?-?[%}]\}""")


@rule("placeholder")
def placeholder(card: Card) -> Iterator[Hit]:
    """No placeholder is left to fill in."""
    sections = [(heading.line, heading.title) for heading in card.document.headings if heading.level <= 2]
    title, position = "", 0
    for line, found in locate_placeholders(card.body):
        while position < len(sections) and sections[position][0] <= line:
            title = sections[position][1]
            position += 1
        where = f"section {title}: " if title else ""
        # Cards of language models speak of tokens such as <think>, and their citations have doubled braces.
        is_certain = card.own or not found.startswith(("<", "{")) or _VARIABLE.fullmatch(found)
        yield Hit(line, f"{where}placeholder {found!r}", None if is_certain else "warning")


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
"""What a dataset's card says."""


@rule("section-missing", "warning")
def section_missing(card: Card) -> Iterator[Hit]:
    """The card has the sections that readers expect; a card of hubtune has all of hubtune's."""
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
