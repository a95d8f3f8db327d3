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
_HEADING = re.compile(r"<h[1-6](?![\w-])[^<>]{0,5000}>", re.IGNORECASE)
_CLOSING = re.compile(r"</h[1-6]", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class Tag:
    """An opening tag."""

    name: str
    attributes: Mapping[str, str]
    line: int


def find_headings(html: str) -> list[str]:
    """Returns the text of the headings in a piece of HTML."""
    text, found, position = _without_comments(html), [], 0
    while (opening := _HEADING.search(text, position)) is not None:
        position = text.find("</", opening.end())
        while position >= 0 and not _CLOSING.match(text, position):
            position = text.find("</", position + 2)
        if position < 0:
            break
        found.append(" ".join(unescape(_ANY_TAG.sub("", text[opening.end() : position])).split()))
    return found


def _without_comments(html: str) -> str:
    """Returns HTML with its comments emptied, so that lines keep their numbers; one that is left open ends the text."""
    kept: list[str] = []
    position = 0
    while (begin := html.find("<!--", position)) >= 0:
        end = html.find("-->", begin + 4)
        kept.append(html[position:begin])
        if end < 0:
            return "".join(kept)
        kept.append("\n" * html.count("\n", begin, end))
        position = end + 3
    return "".join([*kept, html[position:]])


def find_tags(html: str, line: int) -> list[Tag]:
    """Returns the opening tags of a piece of HTML that begins on a line of the card; comments have none."""
    html = _without_comments(html)
    found, counted = [], 0
    for match in _TAG.finditer(html):
        line += html.count("\n", counted, match.start())
        counted = match.start()
        attributes = {
            attribute[1].lower(): unescape(attribute[2].strip("\"'")) for attribute in _ATTRIBUTE.finditer(match[2])
        }
        found.append(Tag(match[1].lower(), attributes, line))
    return found
