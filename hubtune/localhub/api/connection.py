"""Connections: how long the Hub waits for a slow client, how it lets go of one, and how much it takes in at once.

Bodies wait in memory or in files within bounds for all requests together, and what makes work for long has turns.
"""

import asyncio
import json
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import BinaryIO, ClassVar, cast

import anyio
import h11
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hubtune.localhub.api_errors import ApiError

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's first line and headers together."""

_MOST_HELD = 512 * 1024 * 1024
_LONGEST = 600.0
_MOST_SPOOLED = 2 << 30


@dataclass(frozen=True)
class Patience:
    """How long a client may keep the Hub waiting.

    Attributes:
        head: Seconds from a request's first byte to the end of its headers, and for the rest of a body that is not
            wanted any longer.
        pause: Seconds without any byte of a body.
        rate: Bytes a second that a body must bring on the whole, once `pause` seconds have been spent waiting.
        whole: Seconds in which a body that is taken in whole must have come, whatever its rate.
        reading: Seconds in which a client must take in some of the answer.
        idle: Seconds between two requests. Longer than clients keep a connection themselves, so that none is closed
            while a request is on its way.
    """

    head: float = 20.0
    pause: float = 30.0
    rate: int = 1024
    whole: float = 600.0
    reading: float = 60.0
    idle: float = 75.0


class _Wire(h11.Connection):
    """The bytes of a connection; a first line may say something else after the status than its usual words."""

    reason: str | None = None

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        if isinstance(event, h11.Response) and self.reason is not None:
            event = h11.Response(status_code=event.status_code, headers=event.headers, reason=self.reason.encode())
            self.reason = None
        return super().send_with_data_passthrough(event)


class HubProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for what the application does not see, and a way to drop the connection."""

    patience: ClassVar[Patience] = Patience()
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts waiting for the first request."""
        # What is put here is in the scope of each request of this connection.
        self.app_state = {**self.app_state, "connection": self}
        self.conn = self._wire = _Wire(h11.SERVER, HEAD_LIMIT)
        super().connection_made(cast("asyncio.Transport", transport))
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        super().connection_lost(exc)
        self._set_deadline(on=False)

    def data_received(self, data: bytes) -> None:
        """Takes in some bytes, which may complete a request's headers."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Goes on to what follows the answer: the next request, or a rest of this one's body."""
        super().on_response_complete()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, also one whose client never took in its last answer."""
        if self.transport.get_write_buffer_size():
            self.reset()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - says less than is said here
        """Answers what is not HTTP, or too long, in the Hub's own form."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        text = f"The request is not valid HTTP, or its first line and headers exceed {HEAD_LIMIT >> 10} KiB."
        headers = [("content-type", "application/json"), ("connection", "close"), ("x-error-message", text)]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=json.dumps({"error": text}).encode()),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def give_reason(self, reason: str) -> None:
        """Has the next answer's first line say this beside its status."""
        self._wire.reason = reason

    def drop(self) -> None:
        """Ends the connection at once; what the client has not received yet is lost."""
        self._forget_request()
        self.transport.abort()

    def reset(self) -> None:
        """Ends the connection at once, and has the system forget what it still holds for the client."""
        socket = self.transport.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    def cut(self) -> None:
        """Ends the connection when what was written so far has gone out."""
        self._forget_request()
        self.transport.close()

    def _forget_request(self) -> None:
        # Else uvicorn would report an application that gave no answer.
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _watch(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        between = self.cycle is not None and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        self._set_deadline(on=not answering and not between and not self.transport.is_closing())

    def _set_deadline(self, *, on: bool) -> None:
        if on and self._deadline is None:
            self._deadline = self.loop.call_later(self.patience.head, self.transport.abort)
        elif not on and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def protocol_with(patience: Patience) -> type[HubProtocol]:
    """Returns the protocol class for a server with this patience; uvicorn makes an object for each connection."""
    return type("HubProtocol", (HubProtocol,), {"patience": patience})


def connection_of(scope: Scope) -> HubProtocol:
    """Returns the connection that a request came on."""
    return cast("HubProtocol", scope["state"]["connection"])


def patient_receive(receive: Receive, patience: Patience) -> Receive:
    """Returns a `receive` that gives up on a body that comes too slowly.

    Only the time spent waiting counts, so a Hub that is itself busy blames no client.
    """
    waited, taken = 0.0, 0

    async def receive_in_time() -> Message:
        nonlocal waited, taken
        began = anyio.current_time()
        try:
            with anyio.fail_after(max(0.0, min(patience.pause, patience.pause + taken / patience.rate - waited))):
                message = await receive()
        except TimeoutError:
            raise ApiError(408, "The body came too slowly.", headers={"Connection": "close"}) from None
        waited += anyio.current_time() - began
        taken += len(message.get("body", b""))
        return message

    return receive_in_time


def patient_send(send: Send, patience: Patience, connection: HubProtocol) -> Send:
    """Returns a `send` that ends the connection of a client that does not take in its answer."""

    async def send_in_time(message: Message) -> None:
        try:
            with anyio.fail_after(patience.reading):
                await send(message)
        except TimeoutError:
            connection.reset()

    return send_in_time


class Bodies:
    """The bodies that a server has taken in and not answered yet; for use in its event loop alone.

    Args:
        most: Bytes of all that are held in memory together.
        longest: Seconds in which a body must have come, however fast it comes at times.
    """

    def __init__(self, most: int = _MOST_HELD, longest: float = _LONGEST) -> None:
        self._most = most
        self._longest = longest
        self._held = 0
        self._spooled = 0

    @asynccontextmanager
    async def read(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """Holds a request's body while the context lasts.

        Raises:
            ApiError: 413 if it is longer than `limit` bytes, 503 if there is no room for it now, 408 if it takes too
                long.
        """
        body = bytearray()
        held = 0
        try:
            with in_time(self._longest):
                async for chunk in request.stream():
                    body += chunk
                    held += len(chunk)
                    self._held += len(chunk)
                    if held > limit:
                        raise ApiError(413, f"The body is larger than {limit >> 20} MiB.")
                    if self._held > self._most:
                        raise ApiError(503, "The Hub is taking in too much at once.", headers={"Retry-After": "1"})
            yield bytes(body)
        finally:
            self._held -= held

    @asynccontextmanager
    async def spool(self, request: Request, limit: int, folder: Path) -> AsyncIterator[BinaryIO]:
        """Keeps a request's body on disk while the context lasts, for those that are too long to hold.

        Raises:
            ApiError: As `read`.
        """
        kept = 0
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                with in_time(self._longest):
                    async for chunk in request.stream():
                        kept += len(chunk)
                        self._spooled += len(chunk)
                        if kept > limit:
                            raise ApiError(413, f"The body is larger than {limit >> 20} MiB.")
                        if self._spooled > _MOST_SPOOLED:
                            raise ApiError(503, "The Hub is taking in too much at once.", headers={"Retry-After": "1"})
                        file.write(chunk)
                file.seek(0)
                yield file
        finally:
            self._spooled -= kept


class Turns:
    """Lets a few requests of a kind be worked on at a time, and some more wait.

    Args:
        at_once: How many are worked on.
        waiting: How many may wait.
    """

    def __init__(self, at_once: int = 4, waiting: int = 256) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)
        self._waiting = waiting

    def turn(self) -> anyio.CapacityLimiter:
        """Returns what the work must hold.

        Raises:
            ApiError: 503 if too many wait.
        """
        if self._limiter.statistics().tasks_waiting >= self._waiting:
            raise ApiError(503, "The Hub has too many such requests at once.", headers={"Retry-After": "5"})
        return self._limiter


@dataclass(frozen=True)
class Capacity:
    """What one server takes on at once.

    Attributes:
        bodies: What it holds in memory.
        fetches: Requests that walk the history and make packs.
    """

    bodies: Bodies
    fetches: Turns = field(default_factory=Turns)


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Gives a client so much time to send a body.

    Raises:
        ApiError: 408 when it is over.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise ApiError(408, "The body took too long.", headers={"Connection": "close"}) from None
