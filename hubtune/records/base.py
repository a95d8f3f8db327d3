"""The form of every record, and how records and folders reach the disk: whole, or not at all.

A record is a frozen, closed document that is read with all checks. Digests of files are made here, and so is the
protocol by which stages report progress, which `cli` draws.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hubtune.errors import DiskFullError, RecordError
from hubtune.files import file_errors, read_bytes
from hubtune.validation import faults_of

_MOST_BYTES = 64 << 20


class Record(BaseModel):
    """A document that crosses a file boundary; an unknown or missing key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> str:
        """Returns the record as indented JSON that ends with a newline; equal records give equal bytes."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a record.

        Raises:
            RecordError: The file is missing, or is not such a record.
            FileError: It cannot be read.
        """
        if not path.exists():
            raise RecordError(
                f"There is no file {path}.", hint="Give a run directory that holds it, or run its stage again."
            )
        try:
            return cls.model_validate_json(read_bytes(path, most=_MOST_BYTES))
        except ValidationError as error:
            raise RecordError(
                f"{path} is not a record that this version of hubtune can read.",
                details=[str(fault) for fault in faults_of(error)],
                hint="It was changed by hand, or written by another version of hubtune; run its stage again.",
            ) from error


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, or a crash at any moment, sees the old one or the new one, never half.

    Raises:
        DiskFullError: There is no room; the old file, if any, is unchanged.
    """
    with file_errors(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise


def require_room(folder: Path, needed: int, setting: str = "") -> None:
    """Checks that the disk of a folder, which need not exist, has room.

    Args:
        folder: Where something is to be written.
        needed: Bytes.
        setting: How to write it elsewhere, where one can.

    Raises:
        DiskFullError: It has not.
    """
    present = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(present).free
    if free < needed:
        raise DiskFullError(
            f"The disk that holds {folder} has {free / 1e6:,.0f} MB free, and {needed / 1e6:,.0f} MB are needed.",
            hint=f"Free some space{f', or {setting}' if setting else ''}.",
        )


def sha256_file(path: Path) -> str:
    """Returns the sha256 of a file, in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Returns the sha256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def new_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives an empty folder beside `target` that takes its place when the block ends without an error.

    Args:
        target: Where the folder goes; missing or empty.
        replace: Whether a `target` that holds something is replaced.

    Raises:
        RecordError: `target` holds something, or is not a folder.
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
        RecordError: It does, or it is not a folder.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RecordError(f"{target} is not an empty folder.", hint="Give a folder that does not exist yet.")


class ProgressTask(Protocol):
    """A long step that is under way."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Says that `steps` more are done; `note` is a short text such as a loss, shown beside the bar."""


class Progress(Protocol):
    """What a stage may say."""

    def say(self, message: str) -> None:
        """Tells the user one thing that happened."""

    def warn(self, message: str) -> None:
        """Tells the user one thing to look at; the run goes on."""

    def task(
        self, label: str, total: int, *, unit: Literal["steps", "bytes"] = "steps"
    ) -> AbstractContextManager[ProgressTask]:
        """Starts a long step of `total` parts, 0 if nobody knows how many; it ends when the context does."""


_listeners: list[Progress] = []


def report_waits_to(progress: Progress) -> None:
    """Has `progress` say from now on that a request waits, of which the work that asks knows nothing."""
    _listeners[:] = [progress]


def report_waiting(message: str) -> None:
    """Says that a request waits."""
    for progress in _listeners:
        progress.say(message)
