"""Finds e-mail addresses; not handles, package versions, or users in the address of a server."""

import re
from collections.abc import Iterator

from hubtune.data.screening.spans import WORD, Span

_W = WORD
_LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_LOCAL = rf"{_W}(?:(?:{_W}|[.+'-]){{0,62}}(?:{_W}|[+-]))?"
_LABEL = rf"{_W}(?:(?:{_W}|-){{0,61}}{_W})?"
_TOP = rf"(?:xn--[A-Za-z0-9-]{{2,59}}|{_LETTER}{{2,24}})(?!{_W}|@)"
_PLAIN = re.compile(rf"(?<!{_W})(?<!@)(?P<local>{_LOCAL})(?:@|%40)(?:{_LABEL}\.){{1,8}}(?P<top>{_TOP})")
_DOT = r"(?:\.|\s?[\[(]\s?(?:dot|\.)\s?[\])]\s?)"
_BRACKETED = re.compile(
    rf"(?<!{_W})(?P<local>{_LOCAL})\s?[\[(]\s?(?:at|@)\s?[\])]\s?(?:{_LABEL}{_DOT}){{1,8}}(?P<top>{_TOP})",
    re.IGNORECASE,
)
_IN_SERVER = re.compile(r"://[^\s/?#@]*\Z")
_LONGEST_USER = 256
# logo@2x.png is a picture for dense screens, getty@tty1.service a unit of systemd.
_NO_DOMAINS = frozenset(
    {
        *("png", "jpg", "jpeg", "gif", "webp", "svg", "avif", "bmp", "ico", "pdf", "css", "js"),
        *("service", "socket", "timer", "target", "mount", "slice", "device", "swap", "scope"),
    }
)


def find_emails(text: str) -> Iterator[Span]:
    """Finds addresses as they are sent to, percent-encoded ones, and those with `[at]` or `(at)` and `[dot]`.

    Missed are addresses that are spelled out in words.
    """
    if "@" in text or "%40" in text:
        for found in _PLAIN.finditer(text):
            if _is_address(text, found):
                yield Span(_start(text, found), found.end(), "email")
    if "[" in text or "(" in text:
        yield from (Span(*found.span(), "email") for found in _BRACKETED.finditer(text))


def _start(text: str, found: re.Match[str]) -> int:
    """Returns where the address begins: after an apostrophe, where another closes the quotation behind the address."""
    if "'" in found["local"] and text[found.end() : found.end() + 1] == "'":
        return found.start() + found["local"].rindex("'") + 1
    return found.start()


def _is_address(text: str, found: re.Match[str]) -> bool:
    if found["top"].lower() in _NO_DOMAINS:
        return False
    if found["local"] == "git" and text[found.end() : found.end() + 1] == ":":
        return False
    return not _IN_SERVER.search(text[max(0, found.start() - _LONGEST_USER) : found.start()])
