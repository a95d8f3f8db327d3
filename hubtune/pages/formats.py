"""How pages write sizes, times, digests and addresses."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Returns a number of bytes for people, in powers of 1000 as the Hub has them."""
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"


def number(count: int) -> str:
    """Returns a whole number with its thousands apart."""
    return f"{count:,}".replace(",", "\u202f")


def counted(count: int, one: str, many: str | None = None) -> str:
    """Returns a count with its noun."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def date(when: datetime) -> str:
    """Returns a day."""
    return f"{when.day} {when:%b %Y}"


def moment(when: datetime) -> str:
    """Returns a day and a time of day; all times are UTC."""
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def short(sha: str) -> str:
    """Returns enough of a commit's digits to know it by."""
    return sha[:8]


def segment(text: str) -> str:
    """Returns a text as one segment of an address, as branches with a slash need it."""
    return quote(text, safe="")


def path(text: str) -> str:
    """Returns a path as part of an address."""
    return quote(text)


def name(text: str) -> str:
    """Returns the last part of a path."""
    return text.rpartition("/")[2]


def parents(text: str) -> list[tuple[str, str]]:
    """Returns name and path of each folder above a path, from the root down."""
    parts = text.split("/")[:-1]
    return [(part, "/".join(parts[: n + 1])) for n, part in enumerate(parts)]


FILTERS: dict[str, Callable[..., object]] = {
    "counted": counted,
    "date": date,
    "moment": moment,
    "name": name,
    "number": number,
    "parents": parents,
    "path": path,
    "segment": segment,
    "short": short,
    "size": size,
}
