"""Finds international bank account numbers: a known country, its structure, and right check digits (mod 97)."""

import re
from collections.abc import Iterator

from stdnum import iban

from hubtune.data.screening.spans import Span

_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ -]?\d{2}(?:[ -]?[A-Za-z0-9]){10,30}")
_END = re.compile(r"[A-Za-z0-9](?![A-Za-z0-9])")
_SHORTEST = 15


def find_ibans(text: str) -> Iterator[Span]:
    """Finds account numbers in groups of any length, in upper or lower case.

    Missed are numbers with a wrong check digit, and countries that the registry of the library does not have.
    """
    at = 0
    while found := _START.search(text, at):
        end = _longest(text, found)
        if end is None:
            at = found.start() + 1
        else:
            yield Span(found.start(), end, "iban")
            at = end


def _longest(text: str, found: re.Match[str]) -> int | None:
    """Returns where the longest valid number ends that begins here and ends with a word."""
    ends = [
        match.end() for match in _END.finditer(text, found.start() + _SHORTEST - 1, min(found.end() + 1, len(text)))
    ]
    for end in reversed(ends):
        # Its lists of banks and branches are never complete: structure and check digits decide.
        if end <= found.end() and iban.is_valid(text[found.start() : end], check_country=False):
            return end
    return None
