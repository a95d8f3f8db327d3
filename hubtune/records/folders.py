"""A folder that appears whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubtune.errors import RecordError
from hubtune.files import file_errors


@contextmanager
def new_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives an empty folder beside `target` that takes its place when the block ends without an error.

    Args:
        target: Where the folder goes; missing or empty.
        replace: Whether a `target` that holds something is replaced.

    Raises:
        RecordError: `target` holds something, or is no folder.
        DiskFullError: There is no room; what was at `target` is unchanged.
    """
    if not replace:
        require_empty(target)
    with file_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        try:
            unfinished.chmod(0o755)
            yield unfinished
            if replace and target.exists():
                shutil.rmtree(target)
            # An empty folder is replaced by a rename.
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def require_empty(target: Path) -> None:
    """Refuses a place that holds something already.

    Raises:
        RecordError: It does, or it is no folder.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RecordError(f"{target} is not an empty folder.", hint="Give a folder that does not exist yet.")
