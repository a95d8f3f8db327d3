"""GitHub-flavored Markdown to safe HTML, in limited time whatever the Markdown is.

nh3 parses as browsers do and only writes what is allowed: text, its structure, links, images from the card's own
repository, and colored code. Everything else is removed.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise
from posixpath import dirname, join, normpath
from typing import Protocol, cast
from urllib.parse import quote, unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.utils import OptionsDict, OptionsType
from mdit_py_plugins.gfm import gfm_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_OUTSIDE = re.compile(r"(?:https?://[^/\\\s]|mailto:[^\s])", re.IGNORECASE)
# What browsers leave out of an address before they read it.
_IGNORED = re.compile(r"[\x00-\x1f\x7f]")
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
LANGUAGES = frozenset(
    {"bash", "css", "diff", "html", "ini", "javascript", "js", "json", "py", "python", "rust", "sh",
     "shell", "sql", "toml", "typescript", "xml", "yaml", "yml"}
)  # fmt: skip
"""Others stay plain: there are hundreds of lexers, and not all of them are quick on every text."""

PREFIX = "hl-"
"""What the names of the classes begin with."""

_LONGEST = 4_000
_MOST = 40_000


class Links(Protocol):
    """Resolves the addresses in a Markdown file."""

    def link(self, address: str) -> str | None:
        """Returns the address for a link, or None if it must lead nowhere."""

    def picture(self, address: str) -> str | None:
        """Returns the address for a picture, or None if it must not be loaded."""


@dataclass(frozen=True)
class RepoLinks:
    """Links of a file in a repository.

    Attributes:
        repo: The path of the repository's page.
        revision: The revision that the page shows.
        folder: The folder of the file; empty for the root.
    """

    repo: str
    revision: str
    folder: str = ""

    @classmethod
    def of_file(cls, repo: str, revision: str, path: str) -> "RepoLinks":
        """Returns the links of the file at `path`."""
        return cls(repo, revision, dirname(path))

    def link(self, address: str) -> str | None:
        """Returns outside addresses as they are, and those in the repository as the file's page."""
        address = _IGNORED.sub("", address).strip()
        if is_outside(address):
            return address
        if address.startswith("#"):
            return "#" + _fragment(address[1:])
        if address.startswith("/") and not address.startswith(("//", "/\\")):
            # From the root of the Hub, such as /datasets/org/name.
            return quote(address, safe="/?#&=%@:+,;!*~().-_")
        inside = inside_path(address, self.folder)
        if inside is None:
            return None
        fragment = _fragment(address.partition("#")[2])
        return f"{self.address('blob', inside)}{'#' + fragment if fragment else ''}"

    def picture(self, address: str) -> str | None:
        """Returns the download address of a file in the repository, and None for everything else."""
        inside = inside_path(_IGNORED.sub("", address).strip(), self.folder)
        return self.address("resolve", inside) if inside else None

    def address(self, kind: str, path: str) -> str:
        """Returns the address of one view of a file."""
        return f"{self.repo}/{kind}/{quote(self.revision, safe='')}/{quote(path)}"


def is_outside(address: str) -> bool:
    """Whether it is a web or mail address that may be linked to."""
    return _OUTSIDE.match(address) is not None


def inside_path(address: str, folder: str) -> str | None:
    """Returns the path in the repository that a relative address means, or None if it means something else."""
    if not address or _SCHEME.match(address) or address.startswith(("/", "\\", "#", "?")):
        return None
    try:
        path = unquote(urlsplit(address).path)
    except ValueError:
        return None
    path = normpath(join(folder, path))
    return None if path in {".", ".."} or path.startswith(("../", "/")) or "\x00" in path else path


def _fragment(text: str) -> str:
    return quote(unquote(text), safe="-_.~:")


for _tag in _ALIGNED:
    _ATTRIBUTES.setdefault(_tag, set()).add("align")
for _tag in _IDENTIFIED:
    _ATTRIBUTES.setdefault(_tag, set()).add("id")


def sanitize(html: str, links: Links) -> str:
    """Returns the safe part of a piece of HTML, with balanced tags.

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


def highlighter() -> Callable[[str, str, str], str]:
    """Returns a function for the code blocks of one document: code, language and attributes to HTML, or to nothing.

    The first blocks of a document are colored, up to a bound of all of them together.
    """
    left = _MOST

    def colour(code: str, language: str, _attributes: str) -> str:
        nonlocal left
        if language.lower() not in LANGUAGES or len(code) > min(left, _LONGEST):
            return ""
        left -= len(code)
        return str(highlight(code, _lexer(language.lower()), _formatter()))

    return colour


@lru_cache(maxsize=len(LANGUAGES))
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False)


@lru_cache(maxsize=1)
def _formatter() -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True, classprefix=PREFIX)


LONGEST = 200_000
"""Characters that are rendered; what follows them is left out."""

_MOST_TAGS = 5_000
_MOST_BRACKETS = 20_000
"""With more HTML tags or brackets than that, they are taken for text: nested, each costs time for all before it."""

_TAG = re.compile(r"<[a-zA-Z]")
_CHECKBOX = re.compile(r"<input class=\"task-list-item-checkbox\"[^>]*>")
_TEXTUAL = {"text", "code_inline", "text_special"}


@dataclass(frozen=True)
class Prose:
    """Markdown that was rendered.

    Attributes:
        html: Safe to put into a page.
        note: What the reader must know of it, or None.
    """

    html: str
    note: str | None = None


def render_markdown(text: str, links: Links) -> Prose:
    """Renders untrusted Markdown.

    Args:
        text: Without front matter.
        links: Decides on every link and picture.
    """
    notes = []
    if len(text) > LONGEST:
        text = text[:LONGEST]
        notes.append(f"This text is very long: only its first {LONGEST:,} characters are shown.")
    simple = len(_TAG.findall(text)) > _MOST_TAGS or text.count("[") > _MOST_BRACKETS
    if simple:
        notes.append("This text has very many HTML tags or brackets: tags, links and pictures are shown as text.")
    parser = _parser(simple)
    tokens = parser.parse(text)
    _name_headings(tokens)
    for token in _all(tokens):
        _align(token)
    for token in tokens:
        if token.children:
            token.children = list(_pictures(token.children, links))
    options = OptionsDict(cast("OptionsType", {**parser.options, "highlight": highlighter()}))
    html = _CHECKBOX.sub(_mark, parser.renderer.render(tokens, options, {}))
    return Prose(sanitize(html, links), " ".join(notes) or None)


@lru_cache(maxsize=2)
def _parser(simple: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": not simple, "maxNesting": 50}).use(gfm_plugin)
    return parser.disable(["link", "image", "footnote_ref"]) if simple else parser


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _align(token: Token) -> None:
    """Aligns a cell without a style of its own, which no page may have."""
    style = token.attrGet("style")
    if token.type in {"th_open", "td_open"} and isinstance(style, str):
        token.attrs = {"align": style.removeprefix("text-align:")}


def _mark(checkbox: re.Match[str]) -> str:
    """Returns what stands for a task's form field."""
    done = "checked" in checkbox[0]
    return f'<span class="task{" done" if done else ""}">{"☑" if done else "☐"}</span>'


def _name_headings(tokens: Sequence[Token]) -> None:
    """Gives each heading the anchor that GitHub gives it."""
    taken: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            slug = _slug("".join(child.content for child in inline.children or () if child.type in _TEXTUAL))
            count = taken.get(slug, 0)
            taken[slug] = count + 1
            token.attrSet("id", f"{slug}-{count}" if count else slug or "section")


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")[:100]


def _pictures(tokens: Sequence[Token], links: Links) -> Iterator[Token]:
    """Replaces each image that must not be loaded by a link; inside of a link, its text alone."""
    depth = 0
    for token in tokens:
        depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        source = str(token.attrGet("src") or "")
        if token.type != "image" or links.picture(source) is not None:
            yield token
            continue
        text = token.content or source.rstrip("/").rpartition("/")[2][:80]
        linked = depth == 0 and is_outside(source)
        shown = Token("html_inline", "", 0)
        shown.content = f'<span class="outside-picture">{escape(text)}</span>'
        if linked:
            shown.content = f'<a href="{escape(source)}">{shown.content}</a>'
        yield shown
