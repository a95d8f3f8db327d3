"""The HTML that a Markdown file of a stranger may bring: text and its structure, links, pictures of its own repository.

nh3 parses as browsers do and writes what is allowed anew, so what is not named here cannot reach a page.
"""

import re
from collections.abc import Callable

import nh3

from hubtune.pages.links import Links

TAGS = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd", "del",
    "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "ins", "kbd", "li", "mark", "ol", "p", "picture", "pre", "q", "rp", "rt", "ruby", "s", "samp", "section",
    "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead",
    "time", "tr", "tt", "u", "ul", "var", "wbr",
})  # fmt: skip
"""Elements that stay; of others the text stays."""

_WITH_CONTENT = frozenset({
    "applet", "audio", "canvas", "embed", "frameset", "iframe", "math", "noembed", "noframes", "noscript", "object",
    "plaintext", "script", "select", "style", "svg", "template", "textarea", "title", "video", "xmp",
})  # fmt: skip
"""Elements that go with all that is in them."""

_ALIGNED = ("td", "th", "tr", "col", "p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "img", "table")
_IDENTIFIED = ("h1", "h2", "h3", "h4", "h5", "h6", "a", "div", "li", "p", "span", "section")
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title", "aria-label"},
    "abbr": {"title"},
    "code": {"class"},
    "details": {"open"},
    "div": {"class"},
    "img": {"src", "alt", "title", "width", "height"},
    "li": {"class", "value"},
    "ol": {"class", "start", "reversed"},
    "p": {"class"},
    "section": {"class"},
    "span": {"class"},
    "sup": {"class"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ul": {"class"},
}
for _tag in _ALIGNED:
    _ATTRIBUTES.setdefault(_tag, set()).add("align")
for _tag in _IDENTIFIED:
    _ATTRIBUTES.setdefault(_tag, set()).add("id")

_CLASSES = re.compile(
    r"language-[A-Za-z0-9_+#.-]{1,40}|hl-[a-z0-9]{1,4}|task|task done|contains-task-list|task-list-item|footnotes"
    r"|footnotes-list|footnote-item|footnote-ref|footnote-backref|outside-picture"
    r"|markdown-alert markdown-alert-(?:note|tip|important|warning|caution)|markdown-alert-title"
)
_PATTERNS = {
    "align": re.compile(r"left|right|center|justify", re.IGNORECASE),
    "class": _CLASSES,
    "colspan": re.compile(r"[1-9][0-9]?"),
    "height": re.compile(r"[0-9]{1,4}(?:px|%)?"),
    "id": re.compile(r"[^\s\"'<>&]{1,200}"),
    "rowspan": re.compile(r"[1-9][0-9]{0,2}"),
    "scope": re.compile(r"row|col|rowgroup|colgroup"),
    "start": re.compile(r"[0-9]{1,9}"),
    "value": re.compile(r"[0-9]{1,9}"),
    "width": re.compile(r"[0-9]{1,4}(?:px|%)?"),
}


def sanitize(html: str, links: Links) -> str:
    """Returns the safe part of a piece of HTML, as a piece that closes all that it opens.

    Args:
        html: Whatever a stranger wrote.
        links: Decides on every link and picture.
    """
    return nh3.clean(
        html,
        tags=set(TAGS),
        clean_content_tags=set(_WITH_CONTENT),
        attributes=_ATTRIBUTES,
        attribute_filter=_filter(links),
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
        strip_comments=True,
    )


def _filter(links: Links) -> Callable[[str, str, str], str | None]:
    def keep(_tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return links.link(value)
        if name == "src":
            return links.picture(value)
        pattern = _PATTERNS.get(name)
        return value if pattern is None or pattern.fullmatch(value) else None

    return keep
