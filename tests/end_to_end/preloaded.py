"""Fresh processes that need not import torch and its like again: copies of one that has.

A command spends some ten seconds of a core on imports. A copy (`fork`) of a process which did those that do not depend
on the environment has its own memory, environment, folder, files and exit code, and runs the same entry point to the
same end. `World.installed` starts the installed command itself.
"""

import array
import atexit
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.end_to_end import preloading_process

_PROGRAM = Path(preloading_process.__file__)
# Before it can be taken for a hanging one; no command of a test takes nearly as long.
_SECONDS = 300


class Preloaded:
    """The process that is copied, started with the environment that it is given."""

    def __init__(self, env: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._connection, other = socket.socketpair()
        with other:
            # It ends when this process does, as the connection does.
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(other.fileno())], env=env, pass_fds=[other.fileno()]
            )

    def run(
        self, argv: list[str], cwd: Path, env: dict[str, str], code: str | None = None, terminal: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the `hubtune` command, or the Python program in `code`, in a copy of the process.

        Args:
            argv: The command's name and its arguments.
            cwd: The working folder.
            env: The whole environment.
            code: A Python program in place of the command.
            terminal: An open file to take for stderr, which is then empty in what is returned.
        """
        path = "" if code is not None else str(Path(argv[0]).parent)
        request = json.dumps({"argv": argv, "cwd": str(cwd), "env": env, "code": code, "path": path}).encode()
        with (
            Path(os.devnull).open("rb") as stdin,
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            told, tell = os.pipe()
            with os.fdopen(told) as answer:
                shown = err.fileno() if terminal is None else terminal
                try:
                    self._send(request, [stdin.fileno(), out.fileno(), shown, tell])
                finally:
                    os.close(tell)
                status = _status(answer.fileno(), argv)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(argv, status, out.read(), err.read())

    def _send(self, request: bytes, files: list[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        with self._lock:
            self._connection.sendmsg([len(request).to_bytes(8, "little")], ancillary)
            self._connection.sendall(request)


def _status(told: int, argv: list[str]) -> int:
    child = int(_line(told))
    # An alarm would be the whole test process's; a timer ends the one command.
    timer = threading.Timer(_SECONDS, os.kill, [child, signal.SIGKILL])
    timer.start()
    try:
        status = int(_line(told))
    finally:
        timer.cancel()
    if status == -signal.SIGKILL:
        raise subprocess.TimeoutExpired(argv, _SECONDS)
    return status


def _line(told: int) -> str:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(told, 1)
        if not piece:
            raise RuntimeError("The process that is copied into commands has ended.")
        line += piece
    return line.decode()


@functools.cache
def matplotlib_folder() -> str:
    """A folder for matplotlib's list of fonts, which takes a second to make; it is imported with it before a fork."""
    folder = tempfile.mkdtemp(prefix="matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def preloaded() -> Preloaded:
    """The one of this test process, started when it is first asked for."""
    env = {
        "MPLCONFIGDIR": matplotlib_folder(),
        # A copy of a process has one thread of it alone, and this library would start one when it is imported.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        # Where the library is looked for that the tests belong to.
        **{name: value for name, value in os.environ.items() if name == "PYTHONPATH"},
    }
    return Preloaded(env)
