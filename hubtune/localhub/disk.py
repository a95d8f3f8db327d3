"""Durable writes: after a crash a file is there with all its content, or not at all."""

import os
import tempfile
from pathlib import Path

DRAFT_PREFIX = ".new-"
"""How the files of `write_durably` are called until they are whole."""


def sync_folder(folder: Path) -> None:
    """Makes earlier renames into the folder survive a power cut."""
    _sync(folder)


def sync_tree(folder: Path) -> None:
    """Makes everything below a folder, and the folder itself, survive a power cut."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def make_folder(folder: Path, *, below: Path) -> None:
    """Makes a folder and its parents up to `below`, which exists; each survives a power cut."""
    missing = [parent for parent in (folder, *folder.parents) if below in parent.parents and not parent.is_dir()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        sync_folder(parent.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a small file in one step."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=DRAFT_PREFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
