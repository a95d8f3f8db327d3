"""The card as text: what can be read at all, and characters and tags that do more than show."""

import re
from collections.abc import Iterator

from hubtune.card.lint.card import LONGEST_LINE, Card
from hubtune.card.lint.registry import Hit, Rule, add_rule, rule

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ACTIVE_TAGS = ("script", "iframe", "object", "embed")


def _before_the_text(card: Card) -> Iterator[Hit]:  # noqa: ARG001
    # Whoever decodes the card has found these already.
    return iter(())


TOO_LARGE = Rule("card-too-large", "error", "The card has at most 1,000,000 bytes.", _before_the_text)
NOT_UTF8 = Rule("not-utf8", "error", "The card is text in UTF-8.", _before_the_text)
add_rule(TOO_LARGE)
add_rule(NOT_UTF8)


@rule("control-character")
def control_character(card: Card) -> Iterator[Hit]:
    """There are no control characters but tabs and line ends."""
    for number, line in enumerate(card.text.split("\n"), 1):
        found = _CONTROL.search(line)
        if found:
            yield Hit(number, f"the control character U+{ord(found[0]):04X} is here")


@rule("direction-character")
def direction_character(card: Card) -> Iterator[Hit]:
    """No character makes readers see another order of text than there is."""
    for number, line in enumerate(card.text.split("\n"), 1):
        found = _DIRECTION.search(line)
        if found:
            yield Hit(number, f"U+{ord(found[0]):04X} changes the direction of writing, and can hide what is here")


@rule("long-line", "warning")
def long_line(card: Card) -> Iterator[Hit]:
    """No line is longer than 20,000 characters."""
    for number, line in enumerate(card.text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            yield Hit(number, f"the line has {len(line):,} characters, and was not looked into")


@rule("unclosed-fence")
def unclosed_fence(card: Card) -> Iterator[Hit]:
    """Every code block that is opened is closed."""
    for fence in card.document.fences:
        if not fence.closed:
            yield Hit(fence.line - 1, "this code block is never closed, so it takes in all that follows")


@rule("active-html")
def active_html(card: Card) -> Iterator[Hit]:
    """There is no HTML that runs or embeds something."""
    for tag in card.document.tags:
        if tag.name in _ACTIVE_TAGS:
            yield Hit(tag.line, f"<{tag.name}> runs or embeds something; the Hub takes it out")
        elif any(name.startswith("on") for name in tag.attributes):
            yield Hit(tag.line, f"<{tag.name}> has a handler that runs a script; the Hub takes it out")
