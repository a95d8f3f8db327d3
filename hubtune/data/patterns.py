"""Resolves the file patterns of a data set's card against the files of its repository, and nothing else.

A pattern means what it means to `datasets` and fsspec as long as it stays inside. One that names a place of its own (an
absolute path, an address, a path upwards) is refused, whatever it would find there.
"""

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePosixPath

_MAGIC = re.compile(r"[*?\[]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
LONGEST = 2_000
"""Characters of a pattern."""
MOST_SEARCHED = 1_000
"""Patterns with wildcards in one configuration; each is compared with every file."""


class OutsideError(ValueError):
    """A pattern names something that is not a file of the repository; the text says in which way."""


def has_wildcards(pattern: str) -> bool:
    """Whether a pattern can stand for several files."""
    return _MAGIC.search(pattern) is not None


def within(pattern: str, base: str = "") -> str:
    """Returns a pattern as it counts from the repository's root.

    Args:
        pattern: As the card has it.
        base: The folder that it counts from, itself the result of this function.

    Raises:
        OutsideError: It names a place outside of the repository, or could be taken for one.
    """
    if len(pattern) > LONGEST:
        raise OutsideError("is longer than a path can be")
    if any(ord(character) < 32 or ord(character) == 127 for character in pattern):
        raise OutsideError("holds a control character")
    if "::" in pattern or "://" in pattern or _SCHEME.match(pattern) or pattern.startswith("file:"):
        raise OutsideError("is an address, not a path in the repository")
    if "\\" in pattern or _DRIVE.match(pattern):
        raise OutsideError("is not a path in the repository: those have `/` between their parts")
    if pattern.startswith("/"):
        raise OutsideError("is an absolute path")
    if pattern.startswith("~") or "$" in pattern.partition("/")[0]:
        raise OutsideError("begins at a place that the environment names")
    parts = base.split("/") if base else []
    for part in pattern.split("/"):
        if part == "..":
            if not parts or has_wildcards(parts[-1]):
                raise OutsideError("leads out of the repository")
            parts.pop()
        elif part not in ("", "."):
            if "**" in part and part != "**":
                raise OutsideError("has `**` within a name; it can only stand alone between two `/`")
            parts.append(part)
    return "/".join(parts)


def find(pattern: str, names: Sequence[str], ignored: frozenset[str]) -> list[str]:
    """Returns the files that a pattern stands for, as `datasets` chooses them.

    Args:
        pattern: A result of `within`.
        names: The repository's files, in order.
        ignored: Names of files that are not data unless a pattern ends with them.
    """
    parts = pattern.split("/")
    ignored = ignored - {parts[-1]}
    if not has_wildcards(pattern):
        found = [pattern] if pattern in names else []
    else:
        found = [name for name in names if _matches(parts, name.split("/"))]
    return [name for name in found if PurePosixPath(name).name not in ignored and _is_asked_for(name, pattern)]


def _is_asked_for(name: str, pattern: str) -> bool:
    """Whether each hidden part of a path, and each folder such as `__pycache__`, stands in the pattern as well."""
    return _hidden(name) == _hidden(pattern) and _special(name) == _special(pattern)


def _hidden(path: str) -> int:
    return sum(part.startswith(".") and set(part) != {"."} for part in path.split("/"))


def _special(path: str) -> int:
    return sum(part.startswith("__") for part in path.split("/")[:-1])


def _matches(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Walks the path once with every place in the pattern that it can be at, so that no pattern takes long."""
    last = len(pattern) - 1
    at = _skipped({0}, pattern)
    for part in parts:
        following: set[int] = set()
        for place in at:
            if place > last:
                continue
            if pattern[place] == "**":
                following.add(place)
                if place == last:
                    following.add(place + 1)
            elif _segment(pattern[place]).match(part):
                following.add(place + 1)
        if not following:
            return False
        at = _skipped(following, pattern)
    return last + 1 in at


def _skipped(places: set[int], pattern: Sequence[str]) -> set[int]:
    """Adds the places behind each `**` that stands for no folder; the last one stands for at least a file."""
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) - 1 and pattern[place] == "**":
            place += 1
            found.add(place)
    return found


@lru_cache(maxsize=4096)
def _segment(pattern: str) -> re.Pattern[str]:
    # The translation of the standard library is made of atomic groups: it takes no more than quadratic time.
    return re.compile(fnmatch.translate(pattern))
