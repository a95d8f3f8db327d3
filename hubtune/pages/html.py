"""GitHub-flavoured Markdown to safe HTML, in bounded time whatever the Markdown is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import cast

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.utils import OptionsDict, OptionsType
from mdit_py_plugins.gfm import gfm_plugin

from hubtune.pages.sanitize import Links, highlighter, is_outside, sanitize

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
    """Renders Markdown that a stranger wrote.

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
    """Puts a link in the place of each picture that is not to be loaded; inside of a link, its text alone."""
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
