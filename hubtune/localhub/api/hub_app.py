"""The ASGI application: takes a request in, has it answered, injects faults, and turns failures into error answers."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from hubtune.localhub.accounts import BASIC, BEARER
from hubtune.localhub.api import connection, git_protocol
from hubtune.localhub.api.admission import Guard, admit
from hubtune.localhub.api.call import Call, HubState
from hubtune.localhub.api.routes import Route, UploadRoute, find_route
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.disk import DISK_FULL
from hubtune.localhub.fault_injection import DroppedError, Faults, InjectedFault, distort, strike
from hubtune.localhub.ids import RepoType
from hubtune.localhub.request_log import RequestNote
from hubtune.localhub.web.pages import Pages, asks_for_page

_CLIENT_GONE = 499
# Each walks the history and makes a pack of what it finds.
_FETCHES = frozenset({git_protocol.advertise, git_protocol.upload_pack})
_LFS = "/info/lfs/objects/batch"
_LONGEST_HEADER = 16 * 1024
_LONGEST_ID = 200
_NO_ANSWER = 444
"""As nginx logs a connection that it closed without an answer."""


class HubApp:
    """Serves one Hub: logs every request and echoes its id, whatever becomes of it.

    Args:
        hub: The stores to serve from.
        guard: Which requests may come in at all.
        faults: What is to go wrong.
        patience: How long a client may take.
        pages: The pages for browsers, or None for none.
    """

    def __init__(
        self, hub: HubState, guard: Guard, faults: Faults, patience: connection.Patience, pages: Pages | None = None
    ) -> None:
        self._hub = hub
        self._guard = guard
        self._faults = faults
        self._patience = patience
        self._pages = pages
        self._capacity = connection.Capacity(connection.Bodies(longest=patience.whole))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(
            self._hub, scope, connection.patient_send(send, self._patience, connection.connection_of(scope))
        )

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, connection.patient_receive(receive, self._patience))
            try:
                response = await self._answer(request, exchange)
            except ApiError as error:
                response = self._failure(request, error, exchange.note)
                if error.reason is not None:
                    exchange.connection.give_reason(error.reason)
            except DroppedError:
                exchange.log(_NO_ANSWER)
                exchange.connection.drop()
                return
            except ClientDisconnect:
                exchange.log(_CLIENT_GONE)
                return
            if exchange.fault is not None:
                send = distort(exchange.fault, send, exchange.connection)
            await response(scope, receive, send)

        await ServerErrorMiddleware(answer)(scope, receive, exchange.send)

    async def _answer(self, request: Request, exchange: "_Exchange") -> Response:
        """Has a request answered, or something go wrong instead.

        Raises:
            ApiError: The answer is an error.
            DroppedError: There is to be no answer.
        """
        self._guard.check(request.method, request.headers)
        found = find_route(request.method, _raw_path(request.scope), self._pages.routes if self._pages else ())
        if found is not None:
            _describe(exchange.note, found[1])
        fault = self._faults.meet(request.method, _raw_path(request.scope))
        if fault is None:
            return await _work(self._hub, self._capacity, request, found, exchange.note)
        exchange.meet(fault)
        if fault.when == "before":
            await strike(fault)
        try:
            response = await _work(self._hub, self._capacity, request, found, exchange.note)
        except ApiError as error:
            response = self._failure(request, error, exchange.note)
        if fault.when == "after":
            await _strike_after(fault, response, exchange)
        return response

    def _failure(self, request: Request, error: ApiError, note: RequestNote) -> Response:
        response = _error(error, note)
        if self._pages is not None and asks_for_page(request.method, _raw_path(request.scope), request.headers):
            return self._pages.failure(error, response.headers)
        return response


class _Exchange:
    """A request and its answer: what is sent passes through here, so that it is logged once."""

    def __init__(self, hub: HubState, scope: Scope, send: Send) -> None:
        self._hub = hub
        self._send = send
        self._logged = False
        self._request_id = _request_id(Request(scope).headers)
        query = scope["query_string"].decode("latin-1")
        path = _raw_path(scope)
        self.note = RequestNote(scope["method"], f"{path}?{query}" if query else path)
        self.connection: connection.HubProtocol = connection.connection_of(scope)
        self.fault: InjectedFault | None = None

    def meet(self, fault: InjectedFault) -> None:
        """Remembers the fault that strikes the request."""
        self.fault = fault
        self.note.fault = fault.label

    async def send(self, message: Message) -> None:
        """Sends a part of the answer."""
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Request-Id"] = self._request_id
            self.log(message["status"])
        await self._send(message)

    def log(self, status: int) -> None:
        """Writes the request's line, unless it is written."""
        if not self._logged:
            self._logged = True
            self._hub.log.write(self.note, status)


async def _strike_after(fault: InjectedFault, response: Response, exchange: _Exchange) -> None:
    try:
        await strike(fault)
    except DroppedError:
        # The line tells what the client cannot know: whether the work was done.
        exchange.log(response.status_code)
        raise


def _request_id(headers: Headers) -> str:
    """Returns the id by which a client finds its request again; most send theirs under the name that AWS gave it."""
    sent = headers.get("x-request-id") or headers.get("x-amzn-trace-id") or ""
    return sent[:_LONGEST_ID] or str(uuid.uuid4())


def _describe(note: RequestNote, params: Mapping[str, str]) -> None:
    if "id" in params:
        note.repo = params["id"]
        note.type = RepoType.from_plural(params.get("type") or "models").value
        note.revision = params.get("rev")


async def _work(
    hub: HubState,
    capacity: connection.Capacity,
    request: Request,
    found: tuple[Route | UploadRoute, Mapping[str, str]] | None,
    note: RequestNote,
) -> Response:
    if found is None:
        raise _nothing_there(request.method, _raw_path(request.scope))
    route, params = found
    call = Call(
        hub=hub,
        method=request.method,
        params=params,
        query=request.query_params,
        headers=request.headers,
        user=hub.accounts.sign_in(request.headers.get("authorization")),
        endpoint=str(request.base_url).rstrip("/"),
        note=note,
    )
    try:
        if isinstance(route, UploadRoute):
            return await route.answer(call, request.stream())
        await anyio.to_thread.run_sync(admit, call, route.answer)
        if route.spooled:
            async with capacity.bodies.spool(request, route.body_limit, hub.scratch) as file:
                return await anyio.to_thread.run_sync(route.answer, replace(call, file=file))
        async with capacity.bodies.read(request, route.body_limit) as body:
            limiter = capacity.fetches.turn() if route.answer in _FETCHES else None
            return await anyio.to_thread.run_sync(route.answer, replace(call, body=body), limiter=limiter)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ApiError(507, "The disk of this Hub is full.") from error
        raise


def _nothing_there(method: str, path: str) -> ApiError:
    if path.startswith("/api/"):
        # It may well be there on the public Hub: who asks for a collection should not look for a mistake of theirs.
        return ApiError(404, f"The embedded Hub has no such function: {method} {path[:_LONGEST_ID]}")
    return ApiError(404, "Sorry, we can't find the page you are looking for.")


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.decode("latin-1")


def _error(error: ApiError, note: RequestNote) -> Response:
    headers = {**error.headers, "X-Error-Message": _printable(error.message)}
    if error.status == 401:
        wanted = BASIC if note.path.endswith(_LFS) else BEARER
        headers.setdefault("WWW-Authenticate", wanted)
    if error.code:
        headers["X-Error-Code"] = error.code
    # What the client sent, and is told of here, may hold halves of surrogate pairs.
    text = error.message.encode(errors="replace").decode()
    return JSONResponse({"error": text, **error.fields}, status_code=error.status, headers=headers)


def _printable(text: str) -> str:
    # A header holds neither other characters nor space at its ends, and clients take no endless one.
    return re.sub(r"[^\x20-\x7e]", "?", text[:_LONGEST_HEADER]).strip()
