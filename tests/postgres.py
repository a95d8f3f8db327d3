"""A PostgreSQL server of the tests' own: in a folder of its own, reached by a socket there, gone when they end."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Debian puts the server's own programs where no shell looks for them.
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_DATABASE = "trials"


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, reversed(_PLACES))]))
    if found is None:
        pytest.fail("This test runs a PostgreSQL server; on Debian: apt-get install postgresql")
    return found


def _run(*command: str) -> None:
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, user=user, env=environment, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def postgresql() -> Iterator[str]:
    """Runs a server; gives the URL of an empty database in it."""
    initdb, control, create = (_program(name) for name in ("initdb", "pg_ctl", "createdb"))
    # A socket's path may have a hundred characters, which those of the tests' folders exceed.
    folder = Path(tempfile.mkdtemp(prefix="hubtune-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    folder.chmod(0o755)
    data = folder / "data"
    try:
        _run(initdb, "-D", str(data), "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8")
        # The log goes to a file: a pipe would stay open as long as the server runs.
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        _run(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            _run(create, "-h", str(folder), "-U", "tester", _DATABASE)
            yield f"postgresql://tester@/{_DATABASE}?host={folder}"
        finally:
            _run(control, "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
