"""Uploads of large files, by the batch protocol of Git LFS with its basic transfer."""

import hashlib
import hmac
from collections.abc import AsyncIterator

import anyio.to_thread
from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call, read_number
from hubtune.localhub.errors import ApiError
from hubtune.localhub.large_files import IncomingFile
from hubtune.localhub.pointers import Pointer

_BUFFER = 1 << 20
_MOST_OBJECTS = 1000


def batch(call: Call) -> Response:
    """POST /{prefix}{id}.git/info/lfs/objects/batch: where to put what is not stored yet."""
    body = call.json()
    ref = body.get("ref")
    if isinstance(ref, dict) and isinstance(ref.get("name"), str):
        call.note.revision = ref["name"]
    call.writable()
    objects = body.get("objects")
    if body.get("operation") != "upload" or not isinstance(objects, list):
        raise ApiError(422, "Only uploads are served here; download with /resolve/.")
    if len(objects) > _MOST_OBJECTS:
        raise ApiError(413, f"A batch may name {_MOST_OBJECTS} objects at most.")
    rows = [_row(call, _pointer(item)) for item in objects]
    return JSONResponse(
        {"transfer": "basic", "objects": rows, "hash_algo": "sha256"},
        media_type="application/vnd.git-lfs+json",
    )


async def receive(call: Call, chunks: AsyncIterator[bytes]) -> Response:
    """PUT of the address that `batch` gave out. The address is signed, because clients send no token with it."""
    pointer = Pointer(call.params["sha256"], _size(call.query.get("size", "")))
    signature = call.query.get("signature", "").encode(errors="replace")
    if not hmac.compare_digest(signature, _signature(call, pointer).encode()):
        raise ApiError(403, "This upload address is not valid any more; ask for a new one.")
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


def _pointer(item: object) -> Pointer:
    oid, size = (item.get("oid"), item.get("size")) if isinstance(item, dict) else (None, None)
    if not isinstance(oid, str) or type(size) is not int or size < 0:
        raise ApiError(422, "Each object of a batch needs an `oid` and a `size`.")
    return Pointer(oid, size)


def _row(call: Call, pointer: Pointer) -> dict[str, object]:
    row: dict[str, object] = {"oid": pointer.sha256, "size": pointer.size, "authenticated": True}
    if not call.hub.large_files.holds(pointer):
        query = f"size={pointer.size}&signature={_signature(call, pointer)}"
        row["actions"] = {"upload": {"href": call.url(f"api/large-files/{pointer.sha256}?{query}")}}
    return row


def _signature(call: Call, pointer: Pointer) -> str:
    return hmac.new(call.hub.upload_key, pointer.encode(), hashlib.sha256).hexdigest()


def _size(text: str) -> int:
    size = read_number(text)
    if size is None:
        raise ApiError(400, "The upload address lacks `size`.")
    return size
