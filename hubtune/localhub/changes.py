"""What a commit changes: the operations of a commit request, read from its lines and applied to a tree."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, cast

from hubtune.localhub.bounds import LONGEST_LINE, check_length, read_object
from hubtune.localhub.errors import ApiError

# The Hub's own limit is of this order; every line is held in memory.
_MOST_LINES = 25_000
_LONGEST_LINE = 100 << 20
"""Longer than an ordinary file in base64, which is sent as a large one from 10 MiB on."""


@dataclass(frozen=True)
class AddFile:
    """Puts an ordinary file at a path."""

    path: str
    content: bytes


@dataclass(frozen=True)
class AddLargeFile:
    """Puts a stored large file at a path.

    Attributes:
        path: Where it goes.
        sha256: Its digest.
        size: Its size in bytes as the client believes it to be, or None.
    """

    path: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class DeleteFile:
    """Removes one file."""

    path: str


@dataclass(frozen=True)
class DeleteFolder:
    """Removes all files below a folder."""

    path: str


@dataclass(frozen=True)
class CopyFile:
    """Puts a file of the same repository at a second path.

    Attributes:
        path: Where the copy goes.
        source: The path to copy from.
        revision: Where to read the source, or None for the commit's parent.
    """

    path: str
    source: str
    revision: str | None


Change = AddFile | AddLargeFile | DeleteFile | DeleteFolder | CopyFile


@dataclass(frozen=True)
class CommitRequest:
    """A commit that a client asks for.

    Attributes:
        summary: First line of the message.
        description: The rest of the message.
        parent: The commit, or the start of one, that the branch must still be at; None accepts any.
        changes: The operations, in order.
    """

    summary: str
    description: str
    parent: str | None
    changes: tuple[Change, ...]

    @property
    def message(self) -> str:
        """The message as git stores it."""
        return f"{self.summary}\n\n{self.description}" if self.description else self.summary


def read_commit_request(body: BinaryIO) -> CommitRequest:
    """Reads the newline-delimited JSON of a commit request: a header, then one operation a line.

    Raises:
        ApiError: If a line cannot be understood.
    """
    header: Mapping[str, object] | None = None
    changes: list[Change] = []
    for key, value in _lines(body):
        if key == "header":
            header = value
        else:
            changes.append(_read_change(key, value))
    if header is None or not _text(header, "summary"):
        raise ApiError(400, "A commit needs a header with a summary.")
    parent = header.get("parentCommit")
    return CommitRequest(
        summary=check_length(_text(header, "summary"), "summary", LONGEST_LINE),
        description=check_length(str(header.get("description") or ""), "description"),
        parent=str(parent) if parent else None,
        changes=tuple(changes),
    )


def _lines(body: BinaryIO) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(iter(lambda: body.readline(_LONGEST_LINE), b""), start=1):
        if len(line) == _LONGEST_LINE:
            raise ApiError(413, f"Line {number} of the commit is longer than {_LONGEST_LINE >> 20} MiB.")
        if not line.strip():
            continue
        if number > _MOST_LINES:
            raise ApiError(413, f"A commit may have {_MOST_LINES} lines at most.")
        item = read_object(line, f"Line {number} of the commit")
        value = item.get("value")
        if not isinstance(value, dict):
            raise ApiError(400, f"Line {number} of the commit has no key and value.")
        yield str(item.get("key")), cast("Mapping[str, object]", value)


def _read_change(key: str, value: Mapping[str, object]) -> Change:
    path = _text(value, "path")
    if key == "file":
        return AddFile(path, _content(value))
    if key == "lfsFile":
        size = value.get("size")
        return AddLargeFile(path, _text(value, "oid"), size if isinstance(size, int) else None)
    if key == "deletedFile":
        return DeleteFile(path)
    if key == "deletedFolder":
        return DeleteFolder(path.removesuffix("/"))
    if key == "copyFile":
        revision = value.get("srcRevision")
        return CopyFile(path, _text(value, "srcPath"), str(revision) if revision else None)
    raise ApiError(400, f"Unknown operation in the commit: {key}")


def _content(value: Mapping[str, object]) -> bytes:
    content = _text(value, "content")
    if value.get("encoding") != "base64":
        return content.encode(errors="replace")
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise ApiError(400, f"The content of {value.get('path')} is not base64.") from error


def _text(value: Mapping[str, object], field: str) -> str:
    found = value.get(field)
    if not isinstance(found, str):
        raise ApiError(400, f"An operation in the commit lacks `{field}`.")
    return found
