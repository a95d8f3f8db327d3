"""Makes what is expensive once in a test session, whichever workers ask for it."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


class Once:
    """Makes folders once for all workers of a test session; they are for reading only."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        base = factory.getbasetemp()
        self._base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """Returns the folder of that name; the first who asks lets `make` fill it, and others wait meanwhile."""
        folder, made = self._base / f"shared-{name}", self._base / f"shared-{name}.made"
        with (self._base / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder
