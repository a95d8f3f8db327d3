"""Links and images, in Markdown and in HTML: their targets, and what they load."""

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from hubtune.card.lint.card import Card
from hubtune.card.lint.document import Link, anchor_of
from hubtune.card.lint.registry import Hit, rule

_SCHEME = re.compile(r"^\s*([A-Za-z][A-Za-z0-9+.-]{0,20}):")
_IGNORED = re.compile(r"[\x00-\x20]")
_SCRIPTS = ("javascript", "vbscript")
_PAGES = ("data:text/html", "data:application/xhtml")


@rule("link-dead")
def link_dead(card: Card) -> Iterator[Hit]:
    """Relative links lead to files of the repository."""
    for link in _links(card):
        if not link.is_image and _is_dead(card, link.target):
            yield Hit(link.line, f"the link leads to {link.target!r}, which is not a file of the repository")


@rule("image-dead")
def image_dead(card: Card) -> Iterator[Hit]:
    """Images with a relative path are files of the repository."""
    for link in _links(card):
        if link.is_image and _is_dead(card, link.target):
            yield Hit(link.line, f"the image {link.target!r} is not a file of the repository")


@rule("anchor-dead", "warning")
def anchor_dead(card: Card) -> Iterator[Hit]:
    """Links within the card lead to a heading or an anchor."""
    places = {heading.anchor for heading in card.document.headings}
    places |= {anchor_of(title) for title in card.document.html_headings}
    places |= {tag.attributes[key] for tag in card.document.tags for key in ("id", "name") if key in tag.attributes}
    lower = {place.lower() for place in places}
    for link in _links(card):
        name = unquote(link.target[1:]).lower()
        if link.target.startswith("#") and name and name.removeprefix("user-content-") not in lower:
            yield Hit(link.line, f"{link.target!r} leads to no heading or anchor of the card")


@rule("image-alt", "warning")
def image_alt(card: Card) -> Iterator[Hit]:
    """Every image has alternative text."""
    for link in _links(card):
        if link.is_image and not link.text.strip():
            shown = link.target if len(link.target) <= 100 else f"{link.target[:99]}…"
            yield Hit(link.line, f"the image {shown!r} has no alternative text for people who cannot see it")


@rule("image-insecure", "warning")
def image_insecure(card: Card) -> Iterator[Hit]:
    """Images from other servers use https."""
    for link in _links(card):
        if link.is_image and link.target.lower().startswith("http://"):
            yield Hit(
                link.line, f"the image {link.target!r} is loaded over http, so anyone on the network can change it"
            )


@rule("script-link")
def script_link(card: Card) -> Iterator[Hit]:
    """No link runs a script."""
    # Markdown's own links with such targets stay text to a careful parser, and are links to others.
    targets = [(link.target, link.line) for link in _links(card)]
    targets += [(found[1], line) for found, line in _refused(card)]
    for target, line in targets:
        plain = _IGNORED.sub("", target[:200]).lower()
        scheme = _SCHEME.match(plain)
        if scheme and (scheme[1] in _SCRIPTS or plain.startswith(_PAGES)):
            yield Hit(line, f"the link {target[:60]!r} runs a script")


_REFUSED = re.compile(r"\]\(\s{0,10}<?((?:javascript|vbscript|data)\s{0,10}:[^)\s]{0,60})", re.IGNORECASE)


def _refused(card: Card) -> Iterator[tuple[re.Match[str], int]]:
    for paragraph in card.document.paragraphs:
        for found in _REFUSED.finditer(paragraph.text):
            yield found, paragraph.line + paragraph.text.count("\n", 0, found.start())


def _links(card: Card) -> Iterator[Link]:
    yield from card.document.links
    for tag in card.document.tags:
        if tag.name == "img":
            # An `alt` that is there and empty says on purpose that the picture is an ornament.
            text = tag.attributes.get("alt", "") or ("ornament" if "alt" in tag.attributes else "")
            yield Link(tag.attributes.get("src", ""), text, tag.line, is_image=True)
        elif tag.name == "a" and "href" in tag.attributes:
            yield Link(tag.attributes["href"], "", tag.line)


def _is_dead(card: Card, target: str) -> bool:
    """Whether a target is a path within the repository, and nothing is there."""
    target = target.strip()
    if card.source.exists is None or not target or target.startswith(("#", "/", "\\")) or _SCHEME.match(target):
        return False
    try:
        path = urlsplit(target).path
    except ValueError:
        return True
    name = posixpath.normpath(unquote(path)) if path else "."
    if name == ".":
        return False
    return name.startswith("../") or name == ".." or not card.source.exists(name)
