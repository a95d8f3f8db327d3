"""Large files on their way in and out, by the batch protocol of Git LFS with its basic transfer."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping

import anyio.to_thread
from starlette.responses import FileResponse, JSONResponse, Response

from hubtune.localhub.api.call import Call, read_number
from hubtune.localhub.api.commit import committable
from hubtune.localhub.errors import ApiError
from hubtune.localhub.large_file_uses import large_file_uses
from hubtune.localhub.large_files import IncomingFile
from hubtune.localhub.pointers import Pointer
from hubtune.localhub.repos import HubRepo

_BUFFER = 1 << 20
_MOST_OBJECTS = 1000


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
        if name is None:
            # What is uploaded for a pull request that is still to be made names no revision.
            call.discussable()
        else:
            committable(call, name)
        if body.get("operation") != "upload":
            raise ApiError(422, "The operation must be `upload` or `download`.")
        rows = [_upload_row(call, item) for item in _objects(body)]
    return JSONResponse(
        {"transfer": "basic", "objects": rows, "hash_algo": "sha256"},
        media_type="application/vnd.git-lfs+json",
    )


def download(call: Call) -> Response:
    """GET of the address that `batch` gave out for a large file."""
    pointer = Pointer(call.params["sha256"], _size(call.query.get("size", "")))
    _check_signature(call, pointer)
    if not call.hub.large_files.holds(pointer):
        raise ApiError(404, "Object does not exist")
    return FileResponse(call.hub.large_files.path(pointer.sha256), media_type="application/octet-stream")


async def receive(call: Call, chunks: AsyncIterator[bytes]) -> Response:
    """PUT of the address that `batch` gave out. The address is signed, because clients send no token with it."""
    pointer = Pointer(call.params["sha256"], _size(call.query.get("size", "")))
    _check_signature(call, pointer)
    length = call.headers.get("content-length")
    if length is not None and length != str(pointer.size):
        raise ApiError(400, f"The upload has {length} bytes; {pointer.size} bytes were announced.")
    with call.hub.large_files.receive(pointer) as file:
        await _copy(chunks, file)
        await anyio.to_thread.run_sync(file.keep)
    return Response()


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


def _upload_row(call: Call, item: Mapping[str, object]) -> dict[str, object]:
    pointer = _pointer(item)
    row: dict[str, object] = {"oid": pointer.sha256, "size": pointer.size, "authenticated": True}
    if not call.hub.large_files.holds(pointer):
        row["actions"] = {"upload": {"href": _address(call, pointer)}}
    return row


def _download_row(call: Call, repo: HubRepo, item: Mapping[str, object], known: set[Pointer]) -> dict[str, object]:
    pointer = _pointer(item)
    row: dict[str, object] = {"oid": pointer.sha256, "size": pointer.size, "authenticated": True}
    # The store is shared: whoever knows a digest must not get what another repository keeps to itself.
    if pointer in known and call.hub.large_files.holds(pointer):
        row["actions"] = {"download": {"href": _address(call, pointer)}}
    else:
        row["error"] = {"code": 404, "message": f"Object does not exist in {repo.id}"}
    return row


def _pointer(item: Mapping[str, object]) -> Pointer:
    oid, size = item.get("oid"), item.get("size")
    # A bool is an int too.
    if not isinstance(oid, str) or type(size) is not int or size < 0:
        raise ApiError(422, "Each object of a batch needs an `oid` and a `size`.")
    return Pointer(oid, size)


def _address(call: Call, pointer: Pointer) -> str:
    return call.url(f"api/large-files/{pointer.sha256}?size={pointer.size}&signature={_signature(call, pointer)}")


def _check_signature(call: Call, pointer: Pointer) -> None:
    signature = call.query.get("signature", "").encode(errors="replace")
    if not hmac.compare_digest(signature, _signature(call, pointer).encode()):
        raise ApiError(403, "This address is not valid any more; ask for a new one.")


def _objects(body: Mapping[str, object]) -> list[Mapping[str, object]]:
    objects = body.get("objects")
    if not isinstance(objects, list):
        raise ApiError(422, "The body lacks `objects`.")
    if len(objects) > _MOST_OBJECTS:
        raise ApiError(413, f"A batch may name {_MOST_OBJECTS} objects at most.")
    return [item if isinstance(item, dict) else {} for item in objects]


def _signature(call: Call, pointer: Pointer) -> str:
    return hmac.new(call.hub.upload_key, pointer.encode(), hashlib.sha256).hexdigest()


def _size(text: str) -> int:
    size = read_number(text)
    if size is None:
        raise ApiError(400, "The address lacks `size`.")
    return size
