"""The Markdown of a card as rules read it: headings, sections, links, code blocks, paragraphs and tables."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape

from markdown_it import MarkdownIt
from markdown_it.token import Token

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


_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Heading:
    """A heading; `anchor` is what a link to it ends with, after the #."""

    level: int
    title: str
    line: int
    anchor: str


@dataclass(frozen=True)
class Link:
    """A link or an image; `text` is its text or alternative text."""

    target: str
    text: str
    line: int
    is_image: bool = False


@dataclass(frozen=True)
class Fence:
    """A fenced code block; `line` is where its content begins."""

    language: str
    content: str
    line: int
    closed: bool


@dataclass(frozen=True)
class Paragraph:
    """Text as readers see it, without code."""

    text: str
    line: int


@dataclass(frozen=True)
class Table:
    """A table: its titles, and each row with its line."""

    titles: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Section:
    """A heading with everything until the next heading of the same or a higher level.

    Attributes:
        end: The first line that does not belong to it.
        filled: Whether anything but headings is in it.
    """

    heading: Heading
    end: int
    filled: bool


@dataclass
class Document:
    """A parsed Markdown text."""

    last_line: int
    headings: list[Heading] = field(default_factory=list)
    html_headings: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    paragraphs: list[Paragraph] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    content_lines: list[int] = field(default_factory=list)

    def sections(self) -> Iterator[Section]:
        """Yields every section, deeper ones too, in order."""
        open_: list[tuple[Heading, bool]] = []
        done: list[Section] = []
        contents = iter([*self.content_lines, self.last_line + 1])
        content = next(contents)
        for heading in [*self.headings, None]:
            limit = heading.line if heading else self.last_line + 1
            filled = False
            while content < limit:
                filled = True
                content = next(contents)
            if filled:
                open_ = [(one, True) for one, _ in open_]
            while open_ and (heading is None or open_[-1][0].level >= heading.level):
                closed, has_content = open_.pop()
                done.append(Section(closed, limit, has_content))
            if heading is not None:
                open_.append((heading, False))
        return iter(sorted(done, key=lambda section: section.heading.line))


def parse_document(text: str) -> Document:
    """Parses Markdown as CommonMark with tables."""
    document = Document(last_line=text.count("\n") + 1)
    lines = text.split("\n")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    anchors: dict[str, int] = {}
    line = 1
    for n, token in enumerate(tokens):
        if token.map is not None:
            line = token.map[0] + 1
        if token.type == "inline":
            _read_inline(document, token, line)
        elif token.type == "heading_open" and token.level == 0:
            document.headings.append(_heading(int(token.tag[1:]), tokens[n + 1], line, anchors))
        elif token.type == "fence":
            document.fences.append(_fence(token, lines, line))
        elif token.type == "html_block":
            document.tags += find_tags(token.content, line)
            document.html_headings += find_headings(token.content)
        elif token.type == "table_open":
            document.tables.append(_table(tokens, n))
        elif token.type == "paragraph_open":
            document.paragraphs.append(Paragraph(_visible(tokens[n + 1]), line))
        heads = token.type == "inline" and tokens[n - 1].type == "heading_open" and tokens[n - 1].level == 0
        # A rule between sections and a comment say nothing.
        speaks = token.content.strip() and not token.content.lstrip().startswith("<!--")
        if speaks and not heads:
            document.content_lines.append(line)
    return document


def _read_inline(document: Document, token: Token, line: int) -> None:
    links: list[tuple[str, int, list[str]]] = []
    for child in token.children or ():
        if child.type == "link_open":
            links.append((str(child.attrGet("href") or ""), line, []))
        elif child.type == "link_close" and links:
            target, start, shown = links.pop()
            document.links.append(Link(target, "".join(shown), start))
        elif child.type == "image":
            document.links.append(Link(str(child.attrGet("src") or ""), child.content, line, is_image=True))
        elif child.type == "html_inline":
            document.tags += find_tags(child.content, line)
        for _, _, shown in links:
            shown.append(child.content)
        line += 1 if child.type in ("softbreak", "hardbreak") else child.content.count("\n")


def _heading(level: int, inline: Token, line: int, anchors: dict[str, int]) -> Heading:
    title = "".join(child.content for child in inline.children or ()).strip()
    slug = anchor_of(title)
    anchors[slug] = anchors.get(slug, -1) + 1
    return Heading(level, title, line, slug if anchors[slug] == 0 else f"{slug}-{anchors[slug]}")


def anchor_of(title: str) -> str:
    """Returns the anchor of a heading, if no other heading has the same title."""
    return _NOT_IN_ANCHOR.sub("", title.lower()).replace(" ", "-")


def _fence(token: Token, lines: list[str], line: int) -> Fence:
    end = token.map[1] if token.map else line
    last = lines[end - 1].lstrip("> \t") if 0 < end <= len(lines) else ""
    mark = token.markup[:1]
    # Within a list or a quotation a block ends with them at the latest.
    closed = token.level > 0 or (end > line and last.startswith(token.markup) and not last.strip().strip(mark))
    language = token.info.strip().split(maxsplit=1)[0].strip("{}.").lower() if token.info.strip() else ""
    return Fence(language, token.content, line + 1, closed)


def _visible(inline: Token) -> str:
    """Returns what a reader sees of running text, code left out."""
    shown = []
    for child in inline.children or ():
        if child.type in ("text", "image"):
            shown.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            shown.append("\n")
        elif child.type in ("code_inline", "html_inline"):
            shown.append(" ")
    return "".join(shown)


def _table(tokens: list[Token], start: int) -> Table:
    rows: list[tuple[int, list[str]]] = []
    for n in range(start, len(tokens)):
        token = tokens[n]
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append((token.map[0] + 1 if token.map else 1, []))
        elif token.type == "inline" and rows:
            rows[-1][1].append("".join(child.content for child in token.children or ()).strip())
    titles, *others = [(line, tuple(cells)) for line, cells in rows] or [(1, ())]
    return Table(titles[1], tuple(others))
