"""Finds payment card numbers: the lengths and first digits that are issued, with a right check digit."""

import re
from collections.abc import Iterator

from hubtune.data.screening.spans import WORD, Span

# Groups as they are printed, with one kind of gap, or no gap at all. Not within longer numbers, words or decimals.
_NUMBER = re.compile(
    rf"(?<!{WORD})(?<![.-])(?<!\d[ -])"
    r"(?:\d{13,19}|\d{4}(?P<gap>-|\s{1,2})(?:\d{4}(?P=gap)\d{4}(?P=gap)\d{4}(?:(?P=gap)\d{1,3})?"
    rf"|\d{{6}}(?P=gap)\d{{4,5}}))(?!{WORD}|-|\.\d|\s\d{{4}})"
)
_GAPS = re.compile(r"\D")
# ISO/IEC 7812 issuer ranges as the networks publish them: first digits, then lengths.
_ISSUED = (
    (re.compile("4"), {13, 16, 19}),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile("3[47]"), {15}),
    (re.compile("6011|64[4-9]|65"), {16, 19}),
    (re.compile("30[0-5]|3[689]"), {14, 16, 19}),
    (re.compile("35(?:2[89]|[3-8])"), {16, 19}),
    (re.compile("62|81"), {16, 17, 18, 19}),
    (re.compile("50|5[6-9]|6[37]"), {13, 15, 16, 18, 19}),
)


def find_cards(text: str) -> Iterator[Span]:
    """Finds card numbers, written as one or in groups.

    Any number of such a length and beginning passes the check one time in ten. Missed are numbers over two lines of a
    table, or in unusual groups.
    """
    for found in _NUMBER.finditer(text):
        digits = _GAPS.sub("", found[0])
        issued = any(first.match(digits) and len(digits) in lengths for first, lengths in _ISSUED)
        if issued and _checked(digits):
            yield Span(*found.span(), "card_number")


def _checked(digits: str) -> bool:
    """Whether the last digit is the check digit of the others, after Luhn (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0
