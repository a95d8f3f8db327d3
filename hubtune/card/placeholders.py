"""Finds text that somebody meant to replace. A card says something or says that it is not known; it has no blanks."""

import re

from hubtune.card.markdown import without_code

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
    """Returns the placeholders in Markdown text, each once; code is not looked into, since it may quote anything."""
    return list(dict.fromkeys(found for _, found in locate_placeholders(markdown)))


def locate_placeholders(markdown: str) -> list[tuple[int, str]]:
    """Returns the placeholders in Markdown text, each with its line, from 1; code is not looked into."""
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
    """Whether a repository id is a documentation's example, such as your-username/my-model."""
    return bool(_ID.search(repo))
