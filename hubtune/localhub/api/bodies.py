"""Request bodies that are taken in whole: each of bounded size, and all of them together too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from hubtune.localhub.errors import ApiError

_MOST_HELD = 512 * 1024 * 1024


class Bodies:
    """The bodies that a server holds in memory at the moment; for use in its event loop alone.

    Args:
        most: Bytes of all of them together.
    """

    def __init__(self, most: int = _MOST_HELD) -> None:
        self._most = most
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """Holds a request's body while the context lasts.

        Raises:
            ApiError: 413 if it is longer than `limit` bytes, 503 if there is no room for it now.
        """
        body = bytearray()
        held = 0
        try:
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
