"""Colours for the code blocks of a card, in the languages that cards are written about."""

from collections.abc import Callable
from functools import lru_cache

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name

LANGUAGES = frozenset(
    {"bash", "css", "diff", "html", "ini", "javascript", "js", "json", "py", "python", "rust", "sh",
     "shell", "sql", "toml", "typescript", "xml", "yaml", "yml"}
)  # fmt: skip
"""Others stay plain: there are hundreds of lexers, and not all of them are quick on every text."""

PREFIX = "hl-"
"""What the names of the classes begin with."""

_LONGEST = 4_000
_MOST = 40_000


def highlighter() -> Callable[[str, str, str], str]:
    """Returns a function for the code blocks of one document: code, language and attributes to HTML, or to nothing.

    The first blocks of a document are coloured, up to a bound of all of them together.
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
