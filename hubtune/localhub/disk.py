"""Durable writes: after a crash a file is there with all its content, or not at all."""

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

DRAFT_PREFIX = ".new-"
"""How the files of `write_durably` are called until they are whole."""

# For refs, their locks and the folders that git makes next to the objects.
_MARGIN = 256 * 1024


def require_room(folder: Path, size: int) -> None:
    """Raises ENOSPC before anything is written if `size` bytes do not fit.

    dulwich leaves its lock files behind when a disk fills up under it, and they would block the branch for good.
    """
    if shutil.disk_usage(folder).free < size + _MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


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
    for parent in reversed([parent for parent in (folder, *folder.parents) if below in parent.parents]):
        parent.mkdir(exist_ok=True)
        # Also where it was there: another thread may have made it a moment ago, and not flushed it yet.
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


@contextmanager
def locks_released() -> Iterator[None]:
    """Has dulwich let go at once of each lock that it holds when the disk fails within the context.

    It does so only when the lock's file object dies, which the frames of a caught exception put off: until then nobody
    could write that branch or that object again.
    """
    try:
        yield
    except OSError as error:
        traceback.clear_frames(error.__traceback__)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
