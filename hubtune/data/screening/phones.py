"""Finds telephone numbers with libphonenumber: international ones, and national ones of the regions asked for."""

import re
from collections.abc import Iterator, Sequence

from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberMatcher

from hubtune.data.screening.spans import Span

# Seven digits close together; without them there is nothing for the library to look at.
_WORTH_IT = re.compile(r"\d(?:[\s().\-/]{0,3}\d){6}")
_INTERNATIONAL = re.compile(r"[+\N{FULLWIDTH PLUS SIGN}]\d|[+]\(\d")
_PLAINLY = (
    r"tel(?:e?phone)?s?|phones?|ph|mob(?:ile)?|cell(?:phone)?|fax|whatsapp|sms|ring|dial|handy|telefon[oe]?|tel[ée]fono|"
    r"t[ée]l(?:[ée]phone)?|telefoon|puhelin|tlf|тел(?:ефон)?|celular|m[óo]vil|portable"
)
_CUE = re.compile(
    rf"(?:\b(?P<plain>{_PLAINLY})\b|\b(?:(?:call|text)(?: me)?(?: at| on)?|number|contact)\b|電話(?:番号)?|전화)"
    r"[\s.:#=\"'(),\N{FULLWIDTH COLON}]*(?:is\s)?\Z",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"(?:\b(?:isbn|issn|ean|upc|imei|order|invoice|ref|id|no|nr|part|article|doi|ticket|tracking|serial|account|"
    r"commit|version|item|sku|case)[\w.-]*[\s.:#=]*|[$\u20ac\u00a3#=/._\d-]\s?)\Z",
    re.IGNORECASE,
)
_LOOK_BACK = 32
# With the country code; the shortest numbers in use anywhere have eight.
_FEWEST_DIGITS = 9


def find_phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Finds numbers.

    A national number counts when it is grouped as its country groups it, or follows a word such as "phone". Missed are
    national numbers of other regions, and digits without groups and such a word.

    Args:
        text: Where to look.
        regions: Two-letter codes of the countries whose national numbers are looked for.
    """
    if not _WORTH_IT.search(text):
        return
    if _INTERNATIONAL.search(text):
        # A country code says enough: numbers of ranges that the library does not know yet count too.
        for match in PhoneNumberMatcher(text, None, leniency=Leniency.POSSIBLE):
            if sum(character.isdigit() for character in match.raw_string) >= _FEWEST_DIGITS:
                yield Span(match.start, match.end, "phone")
    for region in regions:
        # Grouped as its country groups it, or announced: then ranges that the library does not know count too.
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING):
            if _is_national(text, match):
                yield Span(match.start, match.end, "phone")
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.POSSIBLE):
            if _is_announced(text, match):
                yield Span(match.start, match.end, "phone")


def _is_national(text: str, match: PhoneNumberMatch) -> bool:
    if match.raw_string.startswith("+"):
        return False
    before = text[max(0, match.start - _LOOK_BACK) : match.start]
    if _CUE.search(before):
        return True
    return not match.raw_string.isdigit() and not _OTHER.search(before)


def _is_announced(text: str, match: PhoneNumberMatch) -> bool:
    cue = _CUE.search(text[max(0, match.start - _LOOK_BACK) : match.start])
    enough = sum(character.isdigit() for character in match.raw_string) >= _FEWEST_DIGITS
    return cue is not None and cue["plain"] is not None and enough and not match.raw_string.startswith("+")
