"""Numbers as they stand in prose and tables, compared with exact ones."""

import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

# Not part of a name such as GPT-4 or 7B, of a version or of a date.
# Minus signs come as hyphens, as U+2212 and as dashes.
_SIGN = "-+\N{MINUS SIGN}\N{EN DASH}"
_NUMBER = re.compile(
    rf"(?<![\w.,-])([{_SIGN}]?\d{{1,3}}(?:,\d{{3}})+(?:\.\d{{1,15}})?"
    rf"|[{_SIGN}]?\d{{1,15}}(?:\.\d{{1,15}})?(?:e[-+]?\d{{1,2}})?)(?![\w-]|[.,]\d)",
    re.IGNORECASE | re.ASCII,
)
_ROUNDINGS = (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)
_MOST_DECIMALS = 15
# A rounded number stands for an exact one if it differs by no more than this share of it.
_COARSEST = Decimal("0.02")


def numbers_in(text: str) -> list[Decimal]:
    """Returns the numbers of a text as they are written, digits after the point included."""
    return [Decimal(_plain(match[1])) for match in _NUMBER.finditer(text)]


def has_measurement(text: str) -> bool:
    """Whether a number stands in a text that is not part of a name."""
    return _NUMBER.search(text) is not None


class ShownNumbers:
    """The numbers that a text shows, to be asked whether an exact value is among them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_decimals: dict[int, set[Decimal]] = defaultdict(set)
        for text in texts:
            for number in numbers_in(text):
                exponent = number.as_tuple().exponent
                self._by_decimals[max(0, -exponent) if isinstance(exponent, int) else 0].add(number)

    def hold(self, value: float) -> bool:
        """Whether the value, rounded or as a percentage or a fraction, is among the numbers."""
        return any(self._holds(Decimal(repr(value)) * factor) for factor in (1, 100, Decimal("0.01")))

    def _holds(self, exact: Decimal) -> bool:
        for decimals, shown in self._by_decimals.items():
            for rounding in _ROUNDINGS:
                try:
                    rounded = exact.quantize(Decimal(1).scaleb(-min(decimals, _MOST_DECIMALS)), rounding)
                except InvalidOperation:
                    continue
                if rounded in shown and abs(rounded - exact) <= _COARSEST * abs(exact):
                    return True
        return False


def _plain(written: str) -> str:
    return written.replace(",", "").replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-")
