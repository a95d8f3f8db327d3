"""Durable writes: after a crash a file is there with all its content, or not at all."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


# For refs, their locks and the folders that git makes beside the objects.
_MARGIN = 256 * 1024


def require_room(folder: Path, size: int) -> None:
    """Raises ENOSPC before anything is written where `size` bytes do not fit.

    dulwich leaves its lock files behind when a disk fills up under it, and they would block the branch for good.
    """
    if shutil.disk_usage(folder).free < size + _MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def sync_folder(folder: Path) -> None:
    """Makes earlier renames into the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a small file in one step."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    sync_folder(path.parent)
