"""Runs the embedded Hub: in a thread of this process, or in the foreground until it is told to end."""

import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from hubtune.errors import HubError
from hubtune.localhub.accounts import Accounts
from hubtune.localhub.api.app import HubApp
from hubtune.localhub.api.connection import HEAD_LIMIT, Patience, protocol_with
from hubtune.localhub.api.guard import Guard
from hubtune.localhub.faults import FaultPlan, Faults
from hubtune.localhub.hub_folder import take_folder
from hubtune.localhub.state import HubState
from hubtune.localhub.web.pages import Pages
from hubtune.records.views import PageRenderer
from hubtune.stopping import noticed

_PATIENCE = 10.0
_FEWEST_CONNECTIONS, _MOST_CONNECTIONS = 256, 4096
_OWN_FILES = 128


class EmbeddedHub:
    """A Hub that lives in a folder and is served by a thread of this process.

    Args:
        root: The Hub's folder; made when missing. One server at a time may use it.
        host: The address to listen on; anything but loopback opens the Hub to other machines.
        port: The port, or 0 for any free one.
        auth: The auth file; without one any token is the user `demo`, who may write anywhere.
        allow_hosts: Names under which clients may address the Hub, besides `host` and those of loopback.
        faults: What is to go wrong; rules can be added while the Hub runs.
        patience: How long a client may keep the Hub waiting.
        pages: Makes the pages for browsers; without it there are none.

    Raises:
        ConfigError: From `start`, for a bad auth file.
        HubError: From `start`, if the folder is not a Hub's or already served, or the port is taken.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        auth: Path | None = None,
        allow_hosts: Sequence[str] = (),
        faults: Faults | None = None,
        patience: Patience | None = None,
        pages: PageRenderer | None = None,
    ) -> None:
        self._root = root
        self._host = host
        self._port = port
        self._auth = auth
        self._guard = Guard(host, allow_hosts)
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
        accounts = Accounts.load(self._auth)
        with ExitStack() as stack:
            folder = stack.enter_context(take_folder(self._root, make=True))
            hub = HubState.open(folder, accounts)
            stack.callback(hub.log.close)
            app = HubApp(hub, self._guard, self._faults, self._patience, self._pages)
            self._url = stack.enter_context(served(app, self._host, self._port, self._patience))
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
    *,
    host: str,
    port: int,
    auth: Path | None,
    on_ready: Callable[[str], None],
    allow_hosts: Sequence[str] = (),
    faults: Path | None = None,
    pages: PageRenderer | None = None,
) -> None:
    """Serves a folder until Ctrl-C or SIGTERM; to be called from the main thread.

    Args:
        root: The Hub's folder.
        host: The address to listen on.
        port: The port, or 0 for any free one.
        auth: The auth file, or None.
        on_ready: Called with the Hub's address once it accepts requests.
        allow_hosts: Names under which clients may address the Hub, besides `host` and those of loopback.
        faults: A fault plan, or None.
        pages: Makes the pages for browsers; without it there are none.

    Raises:
        ConfigError: For a bad auth file or fault plan.
        HubError: If the folder is not a Hub's or already served, or the port is taken.
    """
    plan = None if faults is None else FaultPlan.load(faults)
    hub = EmbeddedHub(root, host=host, port=port, auth=auth, allow_hosts=allow_hosts, faults=Faults(plan), pages=pages)
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
        address = f"[{host}]" if ":" in host else host
        yield f"http://{address}:{listener.getsockname()[1]}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With the protocol given, asyncio switches off the delay that small answers would suffer.
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise HubError(f"Cannot listen on {host}: {error.strerror}.", hint="Check --host.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
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

    Each may need a file besides its socket, and where the process may open no more, downloads fail half-way.
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
            raise HubError("The embedded Hub did not start.")
        time.sleep(0.01)


def _end(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(_PATIENCE)
