"""The HTTP client of every request: it limits and reports waits, and ends when the process is stopped.

`huggingface_hub` sets no time limit for some requests, and repeats a request silently if a Hub does not answer.
`datasets` and `transformers` use the same client.
"""

import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
from huggingface_hub import constants, get_token, set_client_factory
from huggingface_hub.utils._http import hf_raise_for_status, hf_request_event_hook

from hubtune import signals
from hubtune.config.fields import require_endpoint
from hubtune.errors import ConfigError, FileError, InvalidTokenError
from hubtune.files import read_bytes
from hubtune.records.base import report_waiting

# Answers after which the same request may succeed: the client's own list (`huggingface_hub.utils.http_backoff`).
PASSING = frozenset({408, 429, 500, 502, 503, 504})
# A stop is noticed after at most so long, also by a thread that waits for a Hub.
_SLICE = 0.5
# What a Hub answers with a list.
_LISTED = re.compile(r"/api/(?:(?:models|datasets|spaces)|jobs/[^/]+|.+/(?:tree|commits)/.+)/?$")
_MOST_TOKEN_FILE = 64 << 10
_OF_A_HUB = ("x-request-id", "x-error-code", "x-error-message")
# `HfApi.create_repo` repeats a request that was answered like this at once and forever.
_BUSY_CREATING = "another conflicting operation is in progress"


@dataclass(frozen=True)
class RequestLimits:
    """The time limits of a request, in seconds.

    Attributes:
        connect: For a connection.
        read: For the next byte, sent or received.
        said: For the next byte before the user is warned.
    """

    connect: float = 10.0
    read: float = 60.0
    said: float = 10.0


_limits = RequestLimits()


@contextmanager
def limited(limits: RequestLimits) -> Iterator[None]:
    """Sets other limits within the context."""
    global _limits
    before, _limits = _limits, limits
    try:
        yield
    finally:
        _limits = before


class Client(httpx2.Client):
    """The client that `huggingface_hub` would make, with limits on how long each request waits."""

    def __init__(self) -> None:
        try:
            super().__init__(event_hooks={"request": [hf_request_event_hook]}, follow_redirects=True, timeout=None)
        except (ValueError, httpx2.InvalidURL, ImportError, OSError) as error:
            raise ConfigError(
                f"The network settings of the environment cannot be used: {error}",
                hint="Correct or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE or SSL_CERT_DIR.",
            ) from error
        backend = _Backend()
        for transport in (self._transport, *self._mounts.values()):
            pool = getattr(transport, "_pool", None)
            if pool is not None:
                # Only a transport written from scratch could be given one.
                pool._network_backend = backend

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        if signals.received() is not None:
            raise httpx2.TransportError("The process was told to stop.", request=request)
        # Many of the Hub client's own calls ask for no limits.
        asked = {kind: seconds for kind, seconds in request.extensions.get("timeout", {}).items() if seconds}
        times = {"connect": _limits.connect, "read": _limits.read, "write": _limits.read, **asked}
        request.extensions = {**request.extensions, "timeout": times}
        try:
            response = super().send(request, **options)
        except (httpx2.ConnectTimeout, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            # Of a class that the Hub's client does not take as a reason to ask again, many times over.
            kind = "connect" if isinstance(error, httpx2.ConnectTimeout) else "read"
            raise httpx2.TransportError(f"there was no answer within {times[kind]:g} s", request=request) from error
        if response.is_error:
            _require_hub_s_error(request, response)
        elif not options.get("stream") and response.is_success:
            _require_hub(request, response)
        return response


class NotAHubError(httpx2.TransportError):
    """The server that answers is not a Hub, such as the login page of a network."""


def _require_hub_s_error(request: httpx2.Request, response: httpx2.Response) -> None:
    """Checks that a refusal comes from a Hub, which names each request, rather than from a network that wants a login.

    Raises:
        NotAHubError: It is a page without a Hub's headers. Those of a server that is down are let pass: a Hub's own
            gateway may have sent them, and asking again may help.
    """
    is_page = "html" in response.headers.get("content-type", "")
    if not is_page or response.status_code in PASSING or any(name in response.headers for name in _OF_A_HUB):
        return
    address, hub = _address(request), f"{constants.ENDPOINT}/"
    # A download may lead to another server, whose refusals are not the network's.
    if address.startswith(f"{hub}api/") or (address.startswith(hub) and str(response.url).startswith(hub)):
        told = f"{address} was answered with a page for people (status {response.status_code})"
        raise NotAHubError(told, request=request)


def _require_hub(request: httpx2.Request, response: httpx2.Response) -> None:
    """Checks that an answer about a repository has the form that a Hub gives it.

    Raises:
        NotAHubError: It is a page, or of another form.
        httpx2.DecodingError: It is not JSON, as if it was cut off.
    """
    address = _address(request)
    if not address.startswith(f"{constants.ENDPOINT}/api/"):
        return
    kind = response.headers.get("content-type", "")
    if "html" in kind or response.content.lstrip()[:1] == b"<":
        raise NotAHubError(f"{address} was answered with a page for people", request=request)
    # What is written may be answered with nothing.
    if request.method != "GET" or address.endswith("/auth-check"):
        return
    try:
        answer = response.json()
    except (ValueError, RecursionError) as error:
        raise httpx2.DecodingError(f"{address} is not a Hub's answer: it is not JSON", request=request) from error
    wanted = list if _LISTED.search(request.url.path) else dict
    if not isinstance(answer, wanted):
        raise NotAHubError(f"{address} was answered with JSON of another form than a Hub's", request=request)


def _address(request: httpx2.Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc.decode()}{request.url.path}"


class _Backend(httpcore2.SyncBackend):
    """Makes connections that are read a little at a time."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, f"{host}:{port}")


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, host: str) -> None:
        self._stream, self._host = stream, host

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        waited = 0.0
        while True:
            if signals.received() is not None:
                raise httpcore2.ReadError("the process was told to stop")
            piece = min(_SLICE, _limits.said, _SLICE if timeout is None else max(0.001, timeout - waited))
            try:
                return self._stream.read(max_bytes, piece)
            except httpcore2.ReadTimeout:
                before, waited = waited, waited + piece
                if timeout is not None and waited >= timeout:
                    raise
                if before < _limits.said <= waited:
                    report_waiting(f"Waiting for {self._host}, which has sent nothing for {_limits.said:g} s …")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(*args, **options), self._host)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def use(client: Callable[[], httpx2.Client] = Client) -> None:
    """Sends every request from now on through this client."""
    set_client_factory(client)


def require_usable() -> None:
    """Checks the address of the Hub and the token, before any request.

    Raises:
        ConfigError: HF_ENDPOINT is not the address of a Hub.
        InvalidTokenError: The token holds what no token can.
        FileError: The file of the token cannot be read.
    """
    require_endpoint(constants.ENDPOINT)
    current_token()


def current_token() -> str | None:
    """Returns the token that requests are signed with, None if there is none.

    Raises:
        InvalidTokenError: It holds what no token can.
        FileError: Its file cannot be read.
    """
    names = [name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)]
    path = Path(constants.HF_TOKEN_PATH)
    source = names[0] if names else str(path)
    try:
        if not names and path.exists():
            # The Hub's client reads whatever is there, to its end.
            read_bytes(path, most=_MOST_TOKEN_FILE)
        token = get_token()
    except FileError as error:
        raise FileError(
            error.message, hint="Log in again with `hf auth login`, or set HF_TOKEN_PATH to the file of the token."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTokenError(
            f"The token in {source} cannot be read: {error}.",
            hint="Log in again with `hf auth login`, or set HF_TOKEN.",
        ) from None
    odd = [place for place, sign in enumerate(token or "") if not "!" <= sign <= "~"]
    if token and odd:
        sign = token[odd[0]]
        name = "" if sign.isascii() else f" ({unicodedata.name(sign, 'not a letter of ASCII')})"
        raise InvalidTokenError(
            f"The token in {source} is not a token: its character {odd[0] + 1}{name} is not one that tokens have.",
            hint="Copy it again, without quotation marks, from https://huggingface.co/settings/tokens",
        )
    return token


_lock = threading.Lock()
_inside = 0


@contextmanager
def requests_sent_once() -> Iterator[None]:
    """Turns off the client's own retries within the context; several threads can be inside."""
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            use(_OneAttempt)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                use()


class _OneAttempt(Client):
    """Raises at once what the client would try again, in a form that it lets pass."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response = super().send(request, **options)
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise httpx2.TransportError(str(error) or type(error).__name__, request=request) from error
        if response.status_code in PASSING or _is_busy_creating(response):
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
