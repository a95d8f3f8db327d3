"""How much is taken on at once: bodies, bounded in size and time, and requests that are much work."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import anyio
from starlette.requests import Request

from hubtune.localhub.errors import ApiError

_MOST_HELD = 512 * 1024 * 1024
_LONGEST = 600.0
_MOST_SPOOLED = 2 << 30


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
