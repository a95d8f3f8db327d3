"""The ASGI application: takes a request in, has it answered, and turns failures into the Hub's error answers."""

import re
import uuid

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from hubtune.localhub.api.call import Call
from hubtune.localhub.api.routes import Route, UploadRoute, find_route
from hubtune.localhub.disk import DISK_FULL
from hubtune.localhub.errors import ApiError
from hubtune.localhub.ids import RepoType
from hubtune.localhub.request_log import RequestNote
from hubtune.localhub.state import HubState

_CLIENT_GONE = 499


class HubApp:
    """Serves one Hub: logs every request and echoes its id, whatever becomes of it.

    Args:
        hub: The stores to serve from.
    """

    def __init__(self, hub: HubState) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        query = scope["query_string"].decode("latin-1")
        note = RequestNote(request.method, f"{_raw_path(scope)}?{query}" if query else _raw_path(scope))
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
                self._hub.log.write(note, message["status"])
            await send(message)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                response = await _answer(self._hub, Request(scope, receive), note)
            except ApiError as error:
                response = _error(error)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                response = _error(ApiError(507, "The disk of this Hub is full; nothing was changed."))
            await response(scope, receive, send)

        try:
            await ServerErrorMiddleware(answer)(scope, receive, send_and_log)
        except ClientDisconnect:
            self._hub.log.write(note, _CLIENT_GONE)


async def _answer(hub: HubState, request: Request, note: RequestNote) -> Response:
    found = find_route(request.method, _raw_path(request.scope))
    if found is None:
        raise ApiError(404, "Sorry, we can't find the page you are looking for.")
    route, params = found
    if "id" in params:
        note.repo = params["id"]
        note.type = RepoType.from_plural(params.get("type") or "models").value
        note.revision = params.get("rev")
    call = Call(
        hub=hub,
        method=request.method,
        params=params,
        query=request.query_params,
        headers=request.headers,
        user=hub.accounts.sign_in(request.headers.get("authorization")),
        endpoint=str(request.base_url).rstrip("/"),
        note=note,
        body=await _read_body(request, route.body_limit) if isinstance(route, Route) else b"",
    )
    if isinstance(route, UploadRoute):
        return await route.answer(call, request.stream())
    return await anyio.to_thread.run_sync(route.answer, call)


async def _read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ApiError(413, f"The body is larger than {limit >> 20} MiB.")
    return bytes(body)


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.decode("latin-1")


def _error(error: ApiError) -> Response:
    headers = {**error.headers, "X-Error-Message": _printable(error.message)}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.fields}, status_code=error.status, headers=headers)


def _printable(text: str) -> str:
    # A header holds neither other characters nor space at its ends.
    return re.sub(r"[^\x20-\x7e]", "?", text).strip()
