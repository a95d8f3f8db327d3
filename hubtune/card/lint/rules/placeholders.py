"""Text that somebody meant to replace."""

import re
from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule
from hubtune.card.placeholders import locate_placeholders

_VARIABLE = re.compile(r"""\{[{%]-? ?[a-z_][\w. |()\[\]"',-]* ?-?[%}]\}""")


@rule("placeholder")
def placeholder(card: Card) -> Iterator[Hit]:
    """No text is left to be filled in."""
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
