"""Bounds the requests of git's own protocol: each line may cost a walk through the history."""

import re
from collections.abc import Iterator

from dulwich.objects import ObjectID
from dulwich.repo import Repo

from hubtune.localhub.errors import ApiError

_LONGEST_LINE = 65_520
_MOST_LINES = 50_000
_MOST_WANTS = 10_000
# Each that the repository has is compared with the history of all that is wanted.
_MOST_COMPARED = 4096
_MOST_KNOWN = 64
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")
_DIGEST = re.compile(rb"[0-9a-f]{40}(?: |\Z)")
_DEEPEN = re.compile(rb"deepen [0-9]{1,9}\n?")
_FILTER = re.compile(rb"blob:none|blob:limit=[0-9]{1,12}[kmg]?|tree:[0-9]{1,6}|object:type=(?:blob|tree|commit|tag)")
_FLUSH = b"0000"


def bounded(git: Repo, body: bytes) -> bytes:
    """Returns a request to `git-upload-pack` without the lines that change nothing but the work.

    Of the commits that the client has, those that the repository lacks say nothing, and of the others the first do:
    without the rest, more is sent than the client needs.

    Raises:
        ApiError: 400 for what is not such a request, or a filter that could run for ever; 413 for too many lines.
    """
    kept: list[bytes] = []
    wants: set[bytes] = set()
    haves: set[bytes] = set()
    known = 0
    for line in _lines(body):
        command, _, value = line.rstrip(b"\n").partition(b" ")
        digest = value[:40]
        if command in {b"want", b"have", b"shallow"} and not _DIGEST.match(value):
            raise ApiError(400, f"Git's request cannot be read: {command.decode()} needs the digest of a commit.")
        if command == b"want":
            _check_filters(re.findall(rb"filter=(\S+)", value))
            if digest in wants:
                continue
            wants.add(digest)
            if len(wants) > _MOST_WANTS:
                raise ApiError(413, f"A request may want {_MOST_WANTS} objects at most.")
        elif command == b"have":
            most = min(_MOST_KNOWN, max(1, _MOST_COMPARED // max(1, len(wants))))
            is_new = digest not in haves and known < most and ObjectID(digest) in git.object_store
            haves.add(digest)
            if not is_new:
                continue
            known += 1
        elif command == b"filter":
            _check_filters([value])
        elif command.startswith(b"deepen") and not _DEEPEN.fullmatch(line):
            raise ApiError(400, "Git's request cannot be read: it may be shallow by a number of commits alone.")
        kept.append(b"%04x%s" % (len(line) + 4, line) if line else _FLUSH)
    return b"".join(kept)


def _lines(body: bytes) -> Iterator[bytes]:
    """Yields the content of each packet; empty for one that separates."""
    at = count = 0
    while at < len(body):
        prefix = body[at : at + 4]
        length = int(prefix, 16) if _LENGTH.fullmatch(prefix) else -1
        if not (length == 0 or 4 < length <= _LONGEST_LINE) or at + max(length, 4) > len(body):
            raise ApiError(400, "Git's request cannot be read: it is not made of packets.")
        count += 1
        if count > _MOST_LINES:
            raise ApiError(413, f"A request may have {_MOST_LINES} lines at most.")
        yield body[at + 4 : at + max(length, 4)]
        at += max(length, 4)


def _check_filters(filters: list[bytes]) -> None:
    for found in filters:
        if not _FILTER.fullmatch(found):
            raise ApiError(400, f"This Hub has no such filter: {found[:100].decode(errors='replace')}")
