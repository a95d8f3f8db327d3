"""The contents of a dataset's repository at its pinned commit: on disk in its snapshot's folder, or on the Hub.

File names and the patterns that select files are untrusted. A pattern is only matched against the file names in the
repository, never against a file system, so it cannot select anything else. The number of names and the time for a
pattern are limited.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from hubtune.documents import HAND_WRITTEN
from hubtune.errors import DataError
from hubtune.files import file_errors, read_bytes
from hubtune.hub.integrity import refuse_links
from hubtune.hub.repo_files import CheckedFile, digests_at, list_files, read_files
from hubtune.records.base import Pin, sha256_file

_MOST_BYTES = max(HAND_WRITTEN.size, 8 << 20)
_MAGIC = re.compile(r"[*?\[]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
LONGEST = 2_000
"""Characters of a pattern."""
MOST_SEARCHED = 1_000
"""Patterns with wildcards in one configuration; each is compared with every file."""


@dataclass(frozen=True)
class Contents:
    """The files of a repository at one commit.

    Attributes:
        source: What to call the dataset.
        names: The paths of the files in the repository, in order.
        place: Returns where one of them is read from: a path on disk, or an `hf://` address at the commit.
        read: Returns the bytes of a small one.
        digests: Returns the sha256 of some of them.
        checked: Returns a file's bytes, given what reads them, compared with the commit's digest at their end; those on
            disk were when they were fetched.
    """

    source: str
    names: Sequence[str]
    place: Callable[[str], str]
    read: Callable[[str], bytes]
    digests: Callable[[Sequence[str]], Mapping[str, str]]
    checked: Callable[[str, BinaryIO], BinaryIO] = lambda _, raw: raw

    def read_if_there(self, name: str) -> bytes | None:
        """Returns the bytes of a small file; None if there is none of that name."""
        return self.read(name) if name in self.names else None


def snapshot_contents(folder: Path, source: str) -> Contents:
    """Returns the contents of a snapshot folder.

    The Hub client's cache makes each file a link to a blob of the same repository; no other link is followed.

    Raises:
        DataError: It holds a link out of it, or something that is neither a file nor a folder.
        FileError: It cannot be read, or is reached by a link within the cache.
    """
    refuse_links(folder)
    root = folder.resolve()
    names = []
    with file_errors(folder, "read"):
        for parent, folders, files in os.walk(root, onerror=_raise):
            for name in [*folders, *files]:
                path = Path(parent, name)
                if path.is_symlink() or name in files:
                    _require_inside(path, root, source)
                if name in files:
                    names.append(path.relative_to(root).as_posix())
    return Contents(
        source=source,
        names=sorted(names),
        place=lambda name: str(root / name),
        read=lambda name: read_bytes(root / name, most=_MOST_BYTES),
        digests=lambda wanted: {name: sha256_file(root / name) for name in wanted},
    )


def hub_contents(pin: Pin, source: str) -> Contents:
    """Returns the contents of a dataset on the Hub at its pinned commit; no file is downloaded yet.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
    """
    files = list_files(pin.repo, pin.commit, pin.type)

    def read(name: str) -> bytes:
        if files[name].size > _MOST_BYTES:
            raise DataError(
                f"{name} of {source} is larger than {_MOST_BYTES >> 20} MiB, the most that is read of such a file.",
                hint="Choose another revision of the dataset.",
            )
        return read_files(pin.repo, pin.type, pin.commit, [name])[name]

    return Contents(
        source=source,
        names=sorted(files),
        place=lambda name: f"hf://datasets/{pin.repo}@{pin.commit}/{name}",
        read=read,
        digests=lambda wanted: digests_at(pin.repo, pin.commit, wanted, repo_type=pin.type),
        checked=lambda name, raw: cast("BinaryIO", CheckedFile(raw, f"{name} of {pin.repo}", files[name])),
    )


def file_contents(path: Path, source: str) -> Contents:
    """Returns a local file that the config names, as the only file of a dataset."""
    return Contents(
        source=source,
        names=[path.name],
        place=lambda _: str(path.absolute()),
        read=lambda _: read_bytes(path, most=_MOST_BYTES),
        digests=lambda wanted: {name: sha256_file(path) for name in wanted},
    )


def _raise(error: OSError) -> None:
    raise error


def _require_inside(path: Path, root: Path, source: str) -> None:
    name = path.relative_to(root).as_posix()
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        real = None
    if real is None:
        raise DataError(
            f"{name} of {source} is a link to nothing.", hint="Fetch the dataset again, or choose another revision."
        )
    # `snapshots/COMMIT` and `blobs` are the two parts of a repository's folder in the cache.
    blobs = root.parent.parent / "blobs"
    inside = real.is_relative_to(root) or (root.parent.name == "snapshots" and real.parent == blobs.resolve())
    if not inside or real.is_dir():
        where = "to a folder" if inside else "out of the dataset"
        raise DataError(
            f"{name} of {source} is a link {where}, which is not followed.",
            hint="Use a dataset that holds its files itself; a local file of yours can be named as `data[].path`.",
        )
    if not stat.S_ISREG(real.stat().st_mode):
        raise DataError(f"{name} of {source} is not a file.", hint="Fetch the dataset again.")


class OutsideError(ValueError):
    """A pattern names something that is not a file of the repository; the text says in which way."""


def has_wildcards(pattern: str) -> bool:
    """Whether a pattern can match several files."""
    return _MAGIC.search(pattern) is not None


def within(pattern: str, base: str = "") -> str:
    """Returns a pattern relative to the repository's root.

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
    """Returns the files that a pattern matches, as in `datasets`.

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
    """Whether each hidden part of a path, and each folder such as `__pycache__`, is in the pattern as well."""
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
