"""Runs the embedded Hub: in a thread of this process, or in the foreground until it is told to end."""

import fcntl
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import uvicorn

from hubtune.errors import HubError
from hubtune.localhub.accounts import Accounts
from hubtune.localhub.api.app import HubApp
from hubtune.localhub.state import HubState

_PATIENCE = 10.0


class EmbeddedHub:
    """A Hub that lives in a folder and is served by a thread of this process.

    Args:
        root: The Hub's folder; made when missing. One server at a time may use it.
        host: The address to listen on; anything but loopback opens the Hub to other machines.
        port: The port, or 0 for any free one.
        auth: The auth file; without one any token is the user `demo`, who may write anywhere.

    Raises:
        ConfigError: From `start`, for a bad auth file.
        HubError: From `start`, if the folder is already served or the port is taken.
    """

    def __init__(self, root: Path, *, host: str = "127.0.0.1", port: int = 0, auth: Path | None = None) -> None:
        self._root = root
        self._host = host
        self._port = port
        self._auth = auth
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
            _take_folder(self._root, stack)
            listener = stack.enter_context(_listen(self._host, self._port))
            hub = HubState.open(self._root, accounts)
            stack.callback(hub.log.close)
            _serve_in_thread(hub, listener, stack)
            address = f"[{self._host}]" if ":" in self._host else self._host
            self._url = f"http://{address}:{listener.getsockname()[1]}"
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


def serve(root: Path, *, host: str, port: int, auth: Path | None, on_ready: Callable[[str], None]) -> None:
    """Serves a folder until Ctrl-C or SIGTERM; to be called from the main thread.

    Args:
        root: The Hub's folder.
        host: The address to listen on.
        port: The port, or 0 for any free one.
        auth: The auth file, or None.
        on_ready: Called with the Hub's address once it accepts requests.

    Raises:
        ConfigError: For a bad auth file.
        HubError: If the folder is already served or the port is taken.
    """
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with EmbeddedHub(root, host=host, port=port, auth=auth) as hub:
            on_ready(hub.url)
            ended.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _take_folder(root: Path, stack: ExitStack) -> None:
    root.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((root / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HubError(
            f"The folder {root} is already being served.",
            hint="Use the Hub that is running, or end it first.",
        ) from error


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


def _serve_in_thread(hub: HubState, listener: socket.socket, stack: ExitStack) -> None:
    config = uvicorn.Config(
        HubApp(hub),
        loop="asyncio",
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
