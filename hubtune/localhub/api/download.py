"""Downloads: whole files and ranges of them, small ones from git and large ones from their store."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import anyio
from dulwich.objects import ObjectID
from starlette.responses import Response, StreamingResponse

from hubtune.localhub.api.call import Call
from hubtune.localhub.errors import ApiError, entry_not_found
from hubtune.localhub.pictures import UNTRUSTED, picture_type
from hubtune.localhub.pointers import Pointer
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.trees import find_entry, read_blob

_CHUNK = 1 << 20
ALWAYS_READABLE = {"README.md", "LICENSE", "LICENSE.md"}
"""What a gated repository shows to everybody, so that they know what to ask for."""

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


@dataclass(frozen=True)
class _Content:
    source: bytes | Path
    size: int

    async def stream(self, start: int, stop: int) -> AsyncIterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source[start:stop]
            return
        async with await anyio.open_file(self.source, "rb") as file:
            await file.seek(start)
            while start < stop and (chunk := await file.read(min(_CHUNK, stop - start))):
                start += len(chunk)
                yield chunk


def resolve(call: Call) -> Response:
    """GET and HEAD /[datasets/|spaces/]{id}/resolve/{rev}/{path}."""
    return _serve(call, pointers=False)


def raw(call: Call) -> Response:
    """GET and HEAD of /raw/: as git stores the file, so a large one is its pointer."""
    return _serve(call, pointers=True)


def _serve(call: Call, *, pointers: bool) -> Response:
    path = call.params["path"]
    repo = call.readable()
    if pointers or path not in ALWAYS_READABLE:
        call.gated(repo)
    with call.open(repo) as (_, git, commit):
        entry = find_entry(git, commit, path)
        if entry is None or entry.is_folder:
            raise entry_not_found("Entry not found", commit=commit.decode())
        blob = read_blob(git, entry.oid)
    pointer = None if pointers else Pointer.decode(blob)
    content = _Content(blob, len(blob))
    headers = {
        "ETag": f'"{entry.oid}"',
        "X-Repo-Commit": commit.decode(),
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(path),
        **UNTRUSTED,
    }
    if not pointers and (picture := picture_type(path)) is not None:
        headers["Content-Type"] = picture
    if pointer is not None:
        content = _Content(_stored(call, repo, pointer, commit), pointer.size)
        headers["ETag"] = headers["X-Linked-Etag"] = f'"{pointer.sha256}"'
        headers["X-Linked-Size"] = str(pointer.size)
    return _answer(call, content, headers)


def _stored(call: Call, repo: HubRepo, pointer: Pointer, commit: ObjectID) -> Path:
    if not call.hub.large_files_of(repo).lists(pointer.sha256):
        raise entry_not_found(f"The repository lacks the large file {pointer.sha256}.", commit=commit.decode())
    if not call.hub.large_files.holds(pointer):
        raise ApiError(500, f"The Hub's store lacks the large file {pointer.sha256}.")
    return call.hub.large_files.path(pointer.sha256)


def _answer(call: Call, content: _Content, headers: dict[str, str]) -> Response:
    start, stop, status = 0, content.size, 200
    # A range of what the client began to download is none of another content.
    is_same = call.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    span = _span(call.headers.get("range", ""), content.size) if is_same else None
    if span is not None:
        start, stop = span
        status = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    headers["Content-Length"] = str(stop - start)
    plain = "application/octet-stream" if isinstance(content.source, Path) else "text/plain"
    headers.setdefault("Content-Type", plain)
    if call.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(content.stream(start, stop), status_code=status, headers=headers)


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Returns the bytes from (inclusive) and to (exclusive); None for the whole file.

    As RFC 9110 has it, a range that makes no sense is ignored, and one outside the file is an error.
    """
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or asked[0] == "bytes=-":
        return None
    first, last = asked.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    else:
        start, stop = max(size - int(last), 0), size
    if start >= stop:
        raise ApiError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, stop


def _disposition(path: str) -> str:
    name = path.rpartition("/")[2]
    plain = re.sub(r'[^\x20-\x7e]|["\\]', "_", name)
    return f"inline; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\";"
