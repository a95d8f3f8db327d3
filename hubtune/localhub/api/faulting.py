"""Makes the faults of `hubtune.localhub.faults` happen to a request."""

import anyio
from starlette.types import Message, Send

from hubtune.localhub.api.connection import HubProtocol
from hubtune.localhub.faults import Fault

_OTHER_BYTES = bytes(byte ^ 0x55 for byte in range(256))
# How often a trickling body is sent from; each time as many bytes as are due.
_TICK = 0.1


class DroppedError(Exception):
    """The request gets no answer."""


async def strike(fault: Fault) -> None:
    """Does what happens instead of the work, or instead of its answer.

    Raises:
        ApiError: The answer to give.
        DroppedError: There is to be none.
    """
    if fault.delay:
        await anyio.sleep(fault.delay)
    if fault.drop:
        raise DroppedError
    if fault.status:
        raise fault.error(fault.status)


def distort(fault: Fault, send: Send, connection: HubProtocol) -> Send:
    """Returns a `send` that spoils the body of an answer, as the fault has it."""
    if fault.body == "half":
        return _Half(send, connection)
    if fault.body == "wrong":
        return _wrong(send)
    if fault.trickle:
        return _trickle(send, fault.trickle)
    return send


class _Half:
    def __init__(self, send: Send, connection: HubProtocol) -> None:
        self._send = send
        self._connection = connection
        self._left: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            length = dict(message["headers"]).get(b"content-length")
            self._left = int(length) // 2 if length is not None else None
            await self._send(message)
            return
        body = message.get("body", b"")
        if self._left is None:
            # No length was announced: half of the first piece is short enough.
            self._left = len(body) // 2
        if self._left > 0:
            await self._send({"type": "http.response.body", "body": body[: self._left], "more_body": True})
        self._left -= len(body)
        if self._left <= 0:
            self._connection.cut()


def _wrong(send: Send) -> Send:
    async def send_wrong(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": bytes(message.get("body", b"")).translate(_OTHER_BYTES)}
        await send(message)

    return send_wrong


def _trickle(send: Send, rate: int) -> Send:
    async def send_slowly(message: Message) -> None:
        body = message.get("body", b"")
        step = max(1, int(rate * _TICK))
        while len(body) > step:
            await send({"type": "http.response.body", "body": body[:step], "more_body": True})
            await anyio.sleep(step / rate)
            body = body[step:]
        await send({**message, "body": body} if "body" in message else message)

    return send_slowly
