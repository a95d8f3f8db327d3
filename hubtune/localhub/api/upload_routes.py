"""HTTP routes of large files on their way in and out, by the batch protocol of Git LFS with its basic transfer.

Clients send no token with an upload, so the address that they got holds a signed grant for one content.
"""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

import anyio.to_thread
from starlette.responses import FileResponse, JSONResponse, Response

from hubtune.localhub.api.call import Call, read_number
from hubtune.localhub.api.commit_routes import committable
from hubtune.localhub.api.connection import in_time
from hubtune.localhub.api_errors import ApiError, NoXetError, forbidden
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.history_rewrite import large_file_uses
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.large_files import IncomingFile
from hubtune.localhub.repos import HubRepo

_BUFFER = 1 << 20
_MOST_OBJECTS = 1000
# Seconds for an upload of any size, and bytes a second of a large one.
_UPLOAD, _SLOWEST = 3600.0, 64 << 10

_Operation = Literal["upload", "download"]
# Seconds. A client asks for many uploads at once and sends one after another.
_LASTS: Mapping[_Operation, int] = {"upload": 12 * 3600, "download": 3600}


@dataclass(frozen=True)
class _Grant:
    """What an address lets its holder do, until when, and on whose behalf."""

    operation: _Operation
    repo: str
    user: str
    expires: int
    pointer: Pointer

    def signature(self, key: bytes) -> str:
        # An address to send to must be none to fetch from, and one of this repository none of another.
        parts = [self.operation, self.repo, self.user, self.expires, self.pointer.sha256, self.pointer.size]
        return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def batch(call: Call) -> Response:
    """POST /{prefix}{id}.git/info/lfs/objects/batch: where to put what is not stored yet, or where to get it."""
    body = call.json()
    ref = body.get("ref")
    name = ref["name"] if isinstance(ref, dict) and isinstance(ref.get("name"), str) else None
    if name is not None:
        call.note.revision = name
    if body.get("operation") == "download":
        repo = call.gated(call.readable())
        with repo.git() as git:
            known = {use.pointer for use in large_file_uses(git)}
        rows = [_download_row(call, repo, item, known) for item in _objects(body)]
    else:
        # What is uploaded for a pull request that is still to be made names no revision.
        repo = call.discussable() if name is None else committable(call, name)
        if body.get("operation") != "upload":
            raise ApiError(422, "The operation must be `upload` or `download`.")
        rows = [_upload_row(call, repo, item) for item in _objects(body)]
    return JSONResponse(
        {"transfer": "basic", "objects": rows, "hash_algo": "sha256"},
        media_type="application/vnd.git-lfs+json",
    )


def refuse_xet(call: Call) -> Response:
    """GET /api/T/{id}/xet-read-token/{rev} and xet-write-token: there is no Xet storage, and the client is told so."""
    call.readable()
    raise NoXetError


def download(call: Call) -> Response:
    """GET of the address that `batch` gave out for a large file: it holds for a time, and while its user may read."""
    pointer, repo = _addressed(call, "download")
    if not call.hub.large_files_of(repo).holds(pointer):
        raise ApiError(404, "Object does not exist")
    return FileResponse(call.hub.large_files.path(pointer.sha256), media_type="application/octet-stream")


async def receive(call: Call, chunks: AsyncIterator[bytes]) -> Response:
    """PUT of the address that `batch` gave out. The address is signed, because clients send no token with it."""
    pointer, repo = _addressed(call, "upload")
    length = call.headers.get("content-length")
    if length is not None and length != str(pointer.size):
        raise ApiError(400, f"The upload has {length} bytes; {pointer.size} bytes were announced.")
    with call.hub.large_files.receive(pointer) as file:
        with in_time(_UPLOAD + pointer.size / _SLOWEST):
            await _copy(chunks, file)
        await anyio.to_thread.run_sync(_keep, call, repo, file, pointer)
    return Response()


def _keep(call: Call, repo: HubRepo, file: IncomingFile, pointer: Pointer) -> None:
    file.check()
    with call.hub.repos.lock(repo), call.hub.large_files.changing:
        file.keep()
        call.hub.large_files_of(repo).add(pointer.sha256)


async def _copy(chunks: AsyncIterator[bytes], file: IncomingFile) -> None:
    # Small chunks are gathered first: each change of thread costs more than writing 64 KiB.
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        if len(buffer) >= _BUFFER:
            await anyio.to_thread.run_sync(file.write, bytes(buffer))
            buffer.clear()
    if buffer:
        await anyio.to_thread.run_sync(file.write, bytes(buffer))


def _upload_row(call: Call, repo: HubRepo, item: Mapping[str, object]) -> dict[str, object]:
    pointer = _pointer(item)
    row: dict[str, object] = {"oid": pointer.sha256, "size": pointer.size, "authenticated": True}
    # What only other repositories have is sent again: to know a digest is not to have the content.
    if not call.hub.large_files_of(repo).holds(pointer):
        row["actions"] = {"upload": _action(call, "upload", repo, pointer)}
    return row


def _download_row(call: Call, repo: HubRepo, item: Mapping[str, object], known: set[Pointer]) -> dict[str, object]:
    pointer = _pointer(item)
    row: dict[str, object] = {"oid": pointer.sha256, "size": pointer.size, "authenticated": True}
    if pointer in known and call.hub.large_files_of(repo).holds(pointer):
        row["actions"] = {"download": _action(call, "download", repo, pointer)}
    else:
        row["error"] = {"code": 404, "message": f"Object does not exist in {repo.id}"}
    return row


def _pointer(item: Mapping[str, object]) -> Pointer:
    oid, size = item.get("oid"), item.get("size")
    # A bool is an int too.
    if not isinstance(oid, str) or type(size) is not int or size < 0:
        raise ApiError(422, "Each object of a batch needs an `oid` and a `size`.")
    return Pointer(oid, size)


def _action(call: Call, operation: _Operation, repo: HubRepo, pointer: Pointer) -> dict[str, object]:
    lasts = _LASTS[operation]
    grant = _Grant(operation, repo.id.key, call.user.name if call.user else "", int(time.time()) + lasts, pointer)
    query = {
        "size": pointer.size,
        "repo": grant.repo,
        "user": grant.user,
        "expires": grant.expires,
        "signature": grant.signature(call.hub.upload_key),
    }
    return {"href": call.url(f"api/large-files/{pointer.sha256}?{urlencode(query)}"), "expires_in": lasts}


def _addressed(call: Call, operation: _Operation) -> tuple[Pointer, HubRepo]:
    """Returns what a signed address is for, if its user may still have it.

    Raises:
        ApiError: 403 if the address is not this Hub's or its time is over; otherwise as `Call.readable`, for its user.
    """
    size, expires = read_number(call.query.get("size", "")), read_number(call.query.get("expires", ""))
    if size is None:
        raise ApiError(400, "The address lacks `size`.")
    repo_key, user = call.query.get("repo", ""), call.query.get("user", "")
    grant = _Grant(operation, repo_key, user, expires or 0, Pointer(call.params["sha256"], size))
    signature = call.query.get("signature", "").encode(errors="replace")
    if not hmac.compare_digest(signature, grant.signature(call.hub.upload_key).encode()):
        raise ApiError(403, "This address is no longer valid; ask for a new one.")
    if grant.expires <= time.time():
        raise ApiError(403, "This address has expired; ask for a new one.")
    asker = replace(call, user=call.hub.accounts.find(user) if user else None)
    type_, _, name = repo_key.partition("/")
    repo = asker.readable(RepoId.parse(RepoType.from_plural(type_), name))
    if operation == "upload" and not asker.signed_in().may_propose:
        raise forbidden()
    return grant.pointer, asker.gated(repo)


def _objects(body: Mapping[str, object]) -> list[Mapping[str, object]]:
    objects = body.get("objects")
    if not isinstance(objects, list):
        raise ApiError(422, "The body lacks `objects`.")
    if len(objects) > _MOST_OBJECTS:
        raise ApiError(413, f"A batch may name {_MOST_OBJECTS} objects at most.")
    return [item if isinstance(item, dict) else {} for item in objects]
