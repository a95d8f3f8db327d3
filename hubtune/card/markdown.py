"""Markdown: escaping text, reading Markdown without its code, and finding placeholders.

The template engine passes everything that it prints through `to_markdown`. It escapes a plain string, and only keeps a
`Markdown` value, which the functions here create, unchanged. So a template that forgets a filter prints harmless text.
An operation on a `Markdown` value gives a plain string again, which is then escaped.
"""

import re
from collections.abc import Callable
from unicodedata import category

from hubtune.errors import CardError

# An underscore within a word is text to Markdown, so that names such as x86_64 stay readable in the source.
_SPECIAL = re.compile(r"([\\`*\[\]#|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_BLOCK_START = re.compile(r"^(?:([-+](?=[ -]|$)|[=:])|(\d+)([.)])(?= |$))")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Embeddings, overrides and isolates: they make a reader see another order of characters than there is.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Longer than any name, template or reason that was meant for a reader.
_LONGEST_LINE = 2000
_BACKTICKS = re.compile(r"`+")
_FENCE = re.compile(r"^(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r"^([ ]{0,3}(?:(?:[-+*>]|\d+[.)])[ \t]*)*)(#|=+[ \t]*$|-+[ \t]*$)")


class Markdown(str):
    """Text that is already Markdown."""

    __slots__ = ()


def to_markdown(value: object) -> str:
    """Returns what the template engine prints for `value`.

    Raises:
        CardError: There is no value, which would be on the card as "None".
    """
    if isinstance(value, Markdown):
        return value
    if value is None:
        raise CardError("A template of the card prints a value that the records do not have.")
    return text(str(value))


def text(value: str) -> Markdown:
    """Returns `value` on one line, with every special character of Markdown and HTML escaped."""
    escaped = _SPECIAL.sub(r"\\\1", one_line(value)).translate(_ENTITIES)
    return Markdown(_BLOCK_START.sub(lambda match: f"{match[2] or ''}\\{match[1] or match[3]}", escaped))


def code(value: str) -> Markdown:
    """Returns `value` as a code span, for running text."""
    line = one_line(value)
    if not line:
        return Markdown("(empty)")
    fence = "`" * _shortest_free_run(line)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return Markdown(f"{fence}{pad}{line}{pad}{fence}")


def cell(value: str) -> Markdown:
    """Returns `value` as a code span for a table, whose cells end at a pipe even within code."""
    return Markdown(code(value).replace("|", "\\|"))


def fenced(value: str, language: str) -> Markdown:
    """Returns `value` as a code block."""
    fence = "`" * max(3, _shortest_free_run(value))
    return Markdown(f"{fence}{language}\n{value.rstrip()}\n{fence}")


def statement(value: str) -> Markdown:
    """Returns an author's statement, which is Markdown by intent, as a quotation.

    The quotation confines whatever the statement leaves open. Raw HTML is shown as text, and headings are escaped so
    that they show as text with their `#`: the page's outline is hubtune's own. Code at the left margin and code spans
    in one-line paragraphs stay as they are; elsewhere, where reading code apart from text would be a guess, `<` counts
    as text.
    """
    lines = value.strip().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    done: list[str] = []
    closing: re.Pattern[str] | None = None
    opened = ""
    for number, raw in enumerate(lines):
        line = _without_controls(raw.rstrip())
        if closing is not None:
            closing = None if closing.match(line) else closing
        elif _FENCE.match(line):
            closing, opened = _closing_fence(line)
        else:
            alone = all(not lines[near].strip() for near in (number - 1, number + 1) if 0 <= near < len(lines))
            line = _split_code(line, outside=_escape_html, inside=str) if alone else _escape_html(line)
            line = _HEADING.sub(r"\1\\\2", line)
        done.append(f"> {line}".rstrip())
    if closing is not None:
        done.append(f"> {opened}")
    return Markdown("\n".join(done))


def one_line(value: str) -> str:
    """Returns `value` without control characters, with single spaces, and truncated if it is too long."""
    line = _without_controls(" ".join(value.split()))
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}… ({len(line):,} characters)"


def without_code(value: str) -> str:
    """Returns Markdown without its code blocks and code spans."""
    lines = without_code_blocks(value).split("\n")
    return "\n".join(_split_code(line, outside=str, inside=lambda _: " ") for line in lines)


def without_code_blocks(value: str) -> str:
    """Returns Markdown with each line of its fenced code blocks emptied, so that the lines keep their numbers."""
    kept: list[str] = []
    closing: re.Pattern[str] | None = None
    inside = ""
    for line in value.split("\n"):
        bare = line.lstrip("> ") if line.startswith(">") else line
        if closing is not None and not line.startswith(inside):
            # A block in a quotation ends with the quotation at the latest.
            closing = None
        if closing is not None:
            closing = None if closing.match(bare) else closing
            kept.append("")
        elif _FENCE.match(bare):
            closing, _ = _closing_fence(bare)
            inside = ">" if line.startswith(">") else ""
            kept.append("")
        else:
            kept.append(line)
    return "\n".join(kept)


def _split_code(line: str, *, outside: Callable[[str], str], inside: Callable[[str], str]) -> str:
    """Treats a one-line paragraph's code spans apart from the rest, by CommonMark's rule for backtick runs."""
    done: list[str] = []
    start = position = 0
    while position < len(line):
        run = _BACKTICKS.match(line, position)
        if run is None:
            position += 2 if line[position] == "\\" else 1
            continue
        end = next((later.end() for later in _BACKTICKS.finditer(line, run.end()) if later[0] == run[0]), None)
        if end is not None:
            done += [outside(line[start:position]), inside(line[position:end])]
            start = end
        position = end or run.end()
    return "".join([*done, outside(line[start:])])


def _closing_fence(line: str) -> tuple[re.Pattern[str], str]:
    """Returns what closes the code block that `line` opens: as a pattern, and the shortest such line."""
    mark = line[0]
    length = len(line) - len(line.lstrip(mark))
    return re.compile(rf"^ {{0,3}}{re.escape(mark)}{{{length},}}[ \t]*$"), mark * length


def _escape_html(value: str) -> str:
    return value.replace("<", "&lt;")


def _without_controls(value: str) -> str:
    return "".join(
        character
        for character in value
        if character == "\t" or (category(character) not in ("Cc", "Cs") and character not in _DIRECTIONS)
    )


def _shortest_free_run(value: str) -> int:
    taken = {len(run) for run in _BACKTICKS.findall(value)}
    return next(length for length in range(1, len(taken) + 2) if length not in taken)


# Upper case alone: "todo" is a word of Spanish and Portuguese, and part of many names.
_WORDS = re.compile(r"(?<![\w-])(?:TODO|TBD|TBC|FIXME)(?![\w-])")
_PHRASES = re.compile(
    r"\[?\bmore information needed\b\]?|\blorem ipsum\b|\bto be (?:determined|written|filled in)\b"
    r"|\{\{.{0,500}?\}\}|\{%.{0,500}?%\}|(?<![\w-])your[-_](?:user-?name|name|org|organi[sz]ation|model|repo)(?![\w-])"
    r"|\[(?:insert|your|fill in|add)\b[^\]\n]{0,500}\](?!\()",
    re.IGNORECASE | re.DOTALL,
)
_FILL_IN = re.compile(r"<([A-Za-z][\w -]{0,60})>")
_ID = re.compile(r"(?:^|/)(?:your[-_][\w.-]+|username)(?:$|/)", re.IGNORECASE)
_HTML_TAGS = frozenset(
    {
        *("a", "abbr", "audio", "b", "blockquote", "body", "br", "button", "center", "cite", "code", "col", "dd"),
        *("del", "details", "div", "dl", "dt", "em", "embed", "font", "footer", "form", "frame", "h1", "h2", "h3"),
        *("h4", "h5", "h6", "head", "header", "hr", "html", "i", "iframe", "img", "input", "ins", "kbd", "li"),
        *("link", "main", "map", "mark", "math", "meta", "nav", "noscript", "object", "ol", "p", "param"),
        *("picture", "pre", "q", "s", "samp", "script", "section", "select", "small", "source", "span", "strike"),
        *("strong", "style", "sub", "summary", "sup", "svg", "table", "tbody", "td", "template", "textarea"),
        *("tfoot", "th", "thead", "title", "tr", "track", "tt", "u", "ul", "var", "video", "wbr"),
    }
)


def find_placeholders(markdown: str) -> list[str]:
    """Returns the placeholders in Markdown text, each once; code is not searched, since it can contain anything."""
    return list(dict.fromkeys(found for _, found in locate_placeholders(markdown)))


def locate_placeholders(markdown: str) -> list[tuple[int, str]]:
    """Returns the placeholders in Markdown text, each with its line, from 1; code is not searched."""
    prose = without_code(markdown).replace("\\", "").replace("&lt;", "<").replace("&gt;", ">")
    matches = [match for pattern in (_WORDS, _PHRASES) for match in pattern.finditer(prose)]
    # A tag of HTML is a fault of another kind, and is shown as text.
    matches += [match for match in _FILL_IN.finditer(prose) if match[1].lower() not in _HTML_TAGS]
    found, line, counted = [], 1, 0
    for match in sorted(matches, key=lambda match: match.start()):
        line += prose.count("\n", counted, match.start())
        counted = match.start()
        found.append((line, " ".join(match[0].split())))
    return found


def is_placeholder_id(repo: str) -> bool:
    """Whether a repository id is an example, such as your-username/my-model."""
    return bool(_ID.search(repo))
