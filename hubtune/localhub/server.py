"""Runs the embedded Hub: in a thread of this process, or in the foreground until a signal ends it."""

import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import uvicorn
from starlette.types import ASGIApp

from hubtune.errors import ConfigError, HubError
from hubtune.localhub.accounts import Accounts
from hubtune.localhub.api.admission import Guard, in_url, is_loopback, reachable
from hubtune.localhub.api.call import HubState
from hubtune.localhub.api.connection import HEAD_LIMIT, Patience, protocol_with
from hubtune.localhub.api.hub_app import HubApp
from hubtune.localhub.fault_injection import FaultPlan, Faults
from hubtune.localhub.hub_folder import take_folder
from hubtune.localhub.web.pages import Pages
from hubtune.records.views import PageRenderer
from hubtune.signals import noticed

_PATIENCE = 10.0
_FEWEST_CONNECTIONS, _MOST_CONNECTIONS = 256, 4096
_OWN_FILES = 128


@dataclass(frozen=True)
class HubOptions:
    """Where a Hub listens, and whom it lets in.

    Attributes:
        host: The address to listen on; anything but loopback opens the Hub to other machines.
        port: The port, or 0 for any free one.
        auth: The auth file; without one any token is the user `demo`, who may write anywhere.
        open_to_all: Whether other machines may use a Hub without an auth file.
        allow_hosts: Names under which clients may address the Hub, besides `host` and those of loopback.
    """

    host: str = "127.0.0.1"
    port: int = 0
    auth: Path | None = None
    open_to_all: bool = False
    allow_hosts: Sequence[str] = ()


class EmbeddedHub:
    """A Hub that lives in a folder and is served by a thread of this process.

    Args:
        root: The Hub's folder; made when missing. One server at a time may use it.
        options: Where it listens, and whom it lets in; by default a free port of loopback, and everybody.
        faults: What is to go wrong; rules can be added while the Hub runs.
        patience: How long a client may keep the Hub waiting.
        pages: Makes the pages for browsers; without it there are none.

    Raises:
        ConfigError: From `start`, for a bad auth file, or if other machines could do anything.
        HubError: From `start`, if the folder is not a Hub's or already served, or the port is taken.
    """

    def __init__(
        self,
        root: Path,
        options: HubOptions | None = None,
        *,
        faults: Faults | None = None,
        patience: Patience | None = None,
        pages: PageRenderer | None = None,
    ) -> None:
        self._root = root
        self._options = options or HubOptions()
        self._guard = Guard(self._options.host, self._options.allow_hosts)
        self._faults = faults or Faults()
        self._patience = patience or Patience()
        self._pages = None if pages is None else Pages(pages)
        self._cleanup = ExitStack()
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The address for `HF_ENDPOINT`."""
        if self._url is None:
            raise RuntimeError("the embedded Hub has not been started")
        return self._url

    def start(self) -> None:
        """Starts serving, and returns once requests are accepted."""
        options = self._options
        accounts = Accounts.load(options.auth)
        if options.auth is None and not options.open_to_all:
            _refuse_others(options.host, options.port)
        with ExitStack() as stack:
            folder = stack.enter_context(take_folder(self._root, make=True))
            hub = HubState.open(folder, accounts)
            stack.callback(hub.log.close)
            app = HubApp(hub, self._guard, self._faults, self._patience, self._pages)
            self._url = stack.enter_context(served(app, options.host, options.port, self._patience))
            folder.announce(self._url)
            self._cleanup = stack.pop_all()

    def stop(self) -> None:
        """Ends the server after the requests that are being answered; harmless when it is not running."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    root: Path,
    options: HubOptions,
    *,
    on_ready: Callable[[str], None],
    faults: Path | None = None,
    pages: PageRenderer | None = None,
) -> None:
    """Serves a folder until Ctrl-C or SIGTERM; to be called from the main thread.

    Args:
        root: The Hub's folder.
        options: Where it listens, and whom it lets in.
        on_ready: Called with the Hub's address once it accepts requests.
        faults: A fault plan, or None.
        pages: Makes the pages for browsers; without it there are none.

    Raises:
        ConfigError: For a bad auth file or fault plan, or if other machines could do anything.
        HubError: If the folder is not a Hub's or already served, or the port is taken.
    """
    plan = None if faults is None else FaultPlan.load(faults)
    hub = EmbeddedHub(root, options, faults=Faults(plan), pages=pages)
    with end_signal() as ended, hub:
        on_ready(hub.url)
        ended.wait()


@contextmanager
def end_signal() -> Iterator[threading.Event]:
    """Gives what Ctrl-C and SIGTERM set while the context lasts; to be called from the main thread."""
    ended = threading.Event()
    with noticed(lambda _: ended.set()):
        yield ended


@contextmanager
def served(app: ASGIApp, host: str, port: int, patience: Patience) -> Iterator[str]:
    """Serves an application while the context lasts; gives its address.

    Raises:
        HubError: If it cannot listen there.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        _serve_in_thread(app, patience, listener, stack)
        yield f"http://{in_url(_shown(host, listener))}:{listener.getsockname()[1]}"


def _shown(host: str, listener: socket.socket) -> str:
    bound = str(listener.getsockname()[0])
    other = reachable(bound)
    # A name stays what it is, unless it is one of those for all addresses, such as `0`.
    return host if other == bound else other


def _refuse_others(host: str, port: int) -> None:
    address = str(_looked_up(host, port).address[0])
    if not is_loopback(address):
        raise ConfigError(
            f"On {host} other machines could read, change and delete all that is in this Hub: without an auth file any"
            " token may do anything.",
            hint="Name users and tokens with --auth FILE. For a network that you trust, --open lets everybody in.",
        )


class _Target(NamedTuple):
    family: int
    kind: int
    protocol: int
    address: tuple[object, ...]


def _looked_up(host: str, port: int) -> _Target:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not the name of a host"
        raise HubError(
            f"Cannot listen on {host!r}: {reason}.", hint="Choose another --host, such as 127.0.0.1."
        ) from error
    return _Target(family, kind, protocol, tuple(address))


def _listen(host: str, port: int) -> socket.socket:
    target = _looked_up(host, port)
    try:
        # With the protocol given, asyncio switches off the delay that small answers would suffer.
        listener = socket.socket(target.family, target.kind, target.protocol)
    except OSError as error:
        raise HubError(
            f"Cannot listen on {host}: {error.strerror}.", hint="Choose another --host, such as 127.0.0.1."
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target.address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise HubError(
            f"Cannot listen on port {port} of {host}: {error.strerror}.",
            hint="Choose another port with --port, or 0 for any free one.",
        ) from error
    return listener


def most_connections() -> int:
    """Returns how many connections the Hub can hold at once; requests on more are answered with a 503.

    Each may need a file besides its socket, and if the process may open no more files, downloads fail half-way.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, (allowed - _OWN_FILES) // 2))


def _serve_in_thread(app: ASGIApp, patience: Patience, listener: socket.socket, stack: ExitStack) -> None:
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=protocol_with(patience),
        h11_max_incomplete_event_size=HEAD_LIMIT,
        timeout_keep_alive=round(patience.idle),
        limit_concurrency=most_connections(),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="embedded-hub", daemon=True)
    thread.start()
    stack.callback(_end, server, thread)
    deadline = time.monotonic() + _PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise HubError(
                f"The embedded Hub did not start within {_PATIENCE} s.",
                hint="End other programs, then run the command again.",
            )
        time.sleep(0.01)


def _end(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(_PATIENCE)
