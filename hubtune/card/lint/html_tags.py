"""Finds the HTML tags in a card that load, link or run something. A scanner, not a parser: it takes any text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape

# A tag ends at the next angle bracket at the latest, and every search has a bound, so that time grows with the text.
_TAG = re.compile(r"<([A-Za-z][A-Za-z0-9]{0,20})(?![\w-])([^<>]{0,5000})")
_ATTRIBUTE = re.compile(
    r"""(?<![\w-])([A-Za-z][\w-]{0,50})\s{0,20}=\s{0,20}("[^"]*"|'[^']*'|[^\s"'>]+)""",
)


@dataclass(frozen=True)
class Tag:
    """An opening tag."""

    name: str
    attributes: Mapping[str, str]
    line: int


def find_tags(html: str, line: int) -> list[Tag]:
    """Returns the opening tags of a piece of HTML that begins on a line of the card."""
    found, counted = [], 0
    for match in _TAG.finditer(html):
        line += html.count("\n", counted, match.start())
        counted = match.start()
        attributes = {
            attribute[1].lower(): unescape(attribute[2].strip("\"'")) for attribute in _ATTRIBUTE.finditer(match[2])
        }
        found.append(Tag(match[1].lower(), attributes, line))
    return found
