"""The HTTP session while a release is published: each request is sent once, and a damaged answer is told as one.

The Hub's client repeats some requests by itself (listings, uploads of large files, downloads), sleeps between them
without a word, and takes whatever time `Retry-After` names. Where each step of a release has attempts of its own, these
would multiply, and nobody could tell the user why nothing happens.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from huggingface_hub.utils._http import hf_raise_for_status

from hubtune.hub import client

# `HfApi.create_repo` repeats a request that was answered like this at once and for ever.
_BUSY_CREATING = "another conflicting operation is in progress"
_lock = threading.Lock()
_inside = 0


@contextmanager
def requests_sent_once() -> Iterator[None]:
    """Has the client send each request of this process once, meanwhile; several threads may be inside."""
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            client.use(_OneAttempt)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                client.use()


class _OneAttempt(client.Client):
    """Raises at once what the client would try again, in a form that it lets pass."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response = super().send(request, **options)
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise httpx2.TransportError(str(error) or type(error).__name__, request=request) from error
        if response.status_code in client.PASSING or _is_busy_creating(response):
            response.read()
            hf_raise_for_status(response)
        if response.is_success and not options.get("stream") and "json" in response.headers.get("content-type", ""):
            try:
                response.json()
            except ValueError as error:
                raise httpx2.DecodingError(
                    f"{request.url.path} was not answered with JSON.", request=request
                ) from error
        return response


def _is_busy_creating(response: httpx2.Response) -> bool:
    return response.status_code == 409 and _BUSY_CREATING in response.headers.get("x-error-message", "")
