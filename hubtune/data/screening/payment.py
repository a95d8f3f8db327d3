"""Finds payment card numbers and IBANs: numbers with a valid length, prefix and check digit."""

import re
from collections.abc import Iterator

from hubtune.data.screening.spans import WORD, Span

# Groups as they are printed, with one kind of gap, or no gap at all. Not within longer numbers, words or decimals.
_NUMBER = re.compile(
    rf"(?<!{WORD})(?<![.-])(?<!\d[ -])"
    r"(?:\d{13,19}|\d{4}(?P<gap>-|\s{1,2})(?:\d{4}(?P=gap)\d{4}(?P=gap)\d{4}(?:(?P=gap)\d{1,3})?"
    rf"|\d{{6}}(?P=gap)\d{{4,5}}))(?!{WORD}|-|\.\d|\s\d{{4}})"
)
_NOT_DIGITS = re.compile(r"\D")
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
        digits = _NOT_DIGITS.sub("", found[0])
        issued = any(first.match(digits) and len(digits) in lengths for first, lengths in _ISSUED)
        if issued and _checked(digits):
            yield Span(*found.span(), "card_number")


def _checked(digits: str) -> bool:
    """Whether the last digit is the check digit of the others, after Luhn (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


# What follows the two letters of the country and the two check digits, as the SWIFT registry states it: how many digits
# (n), capital letters (a), or either (c), in this order.
_STRUCTURES = (
    "AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n "
    "CY8n16c CZ20n DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n GB4a14n GE2a16n "
    "GI4a15c GL14n GR7n16c GT24c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c "
    "KZ3n13c LB4n20c LC4a24c LI5n12c LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD20c ME18n MK3n10c2n MN16n MR23n "
    "MT4a5n18c MU4a19n3a NI4a20n NL4a10n NO11n OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n "
    "RU14n15c SA2n18c SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c SO19n ST21n SV4a20n TL19n TN20n TR6n16c "
    "UA6n19c VA18n VG4a16n XK16n YE4a4n18c "
)
_KINDS = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}
_NUMBERS = {
    country: re.compile(country + r"\d\d" + "".join(f"{_KINDS[kind]}{{{count}}}" for count, kind in parts))
    for country, parts in (
        (structure[:2], re.findall(r"(\d+)([nac])", structure[2:])) for structure in _STRUCTURES.split()
    )
}
# Also right behind a label, as in "IBANDE…".
_START = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=IBAN))[A-Za-z]{2}[ -]?\d{2}(?:[ -]?[A-Za-z0-9]){10,30}")
_END = re.compile(r"[A-Za-z0-9](?![A-Za-z0-9])")
_GAPS = re.compile(r"[ -]")
_SHORTEST = 15


def find_ibans(text: str) -> Iterator[Span]:
    """Finds account numbers in groups of any length, in upper or lower case.

    Missed are numbers with a wrong check digit, and countries that the registry does not have.
    """
    at = 0
    while found := _START.search(text, at):
        end = _longest(text, found)
        if end is None:
            at = found.start() + 1
        else:
            yield Span(found.start(), end, "iban")
            at = end


def is_iban(text: str) -> bool:
    """Whether the text, without spaces and hyphens, is an account number.

    Banks and branches are not looked up: no list of them is ever complete. With the country and the check digits put
    behind the rest, and each letter read as two digits from 10, the remainder by 97 has to be 1 (ISO 7064, MOD 97-10).
    """
    number = _GAPS.sub("", text).upper()
    structure = _NUMBERS.get(number[:2])
    if structure is None or not structure.fullmatch(number):
        return False
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


def _longest(text: str, found: re.Match[str]) -> int | None:
    """Returns where the longest valid number ends that begins here and ends with a word."""
    ends = [
        match.end() for match in _END.finditer(text, found.start() + _SHORTEST - 1, min(found.end() + 1, len(text)))
    ]
    for end in reversed(ends):
        if end <= found.end() and is_iban(text[found.start() : end]):
            return end
    return None
