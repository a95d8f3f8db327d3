"""The form of every record, the pins that records share, and atomic writes of records and folders.

A record is a frozen, closed document that is validated when it is read. A pin names the commit that an input's revision
resolved to, with the license stated there. `pins.json` of a run and `hubtune.lock` have the form of `PinSet`. The
digests of files and the protocol for progress reports, which `cli` implements, are here too.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

import pydantic

from hubtune.errors import DiskFullError, RecordError
from hubtune.files import file_errors, read_bytes
from hubtune.validation import faults_of

_MOST_BYTES = 64 << 20


class Record(pydantic.BaseModel):
    """A document that crosses a file boundary; an unknown or missing key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

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
        except pydantic.ValidationError as error:
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
        setting: How to write it elsewhere, if one can.

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
        """Says that `steps` more are done; `note` is a short text such as a loss, shown next to the bar."""


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


Commit = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{40}$")]
# As many as a config may name, of the training and of an earlier task.
_MOST_DATA = 500
RepoType = Literal["model", "dataset"]
InputKind = Literal["base", "data"]


class Pin(Record):
    """One repository at one commit.

    Attributes:
        repo: The repository's id on the Hub.
        type: Whether it is a model or a dataset.
        requested: The revision that the config asks for: a branch, a tag, refs/pr/N or a commit.
        commit: The commit that `requested` meant when it was pinned.
        license: The license that the repository's card states at that commit; null if it states none.
        gated: Whether readers have to accept conditions first, and how that is granted.
    """

    repo: str
    type: RepoType
    requested: str
    commit: Commit
    license: str | list[str] | None = None
    gated: Literal[False, "auto", "manual"] = False


def stated_licenses(license: str | list[str] | None) -> list[str]:
    """Returns a pin's license as a list: empty if the repository states none."""
    entries = [license] if isinstance(license, str) else license or []
    return [entry for entry in entries if entry.strip()]


class PinSet(Record):
    """Every input of a run that is a repository; the tokenizer is the base model's, from the same commit.

    Attributes:
        adapter: The adapter that was trained further; absent from the file if a new one was trained.
        earlier: Datasets that the model learned before; absent from the file if there are none.
    """

    base: Pin
    data: Annotated[list[Pin], pydantic.Field(max_length=_MOST_DATA)]
    adapter: Pin | None = None
    earlier: list[Pin] = pydantic.Field(default=[], max_length=_MOST_DATA)

    @pydantic.model_serializer(mode="wrap")
    def _without_none(self, write: pydantic.SerializerFunctionWrapHandler) -> dict[str, object]:
        values: dict[str, object] = write(self)
        return {key: value for key, value in values.items() if key not in ("adapter", "earlier") or value}

    def all(self) -> list[Pin]:
        """Returns the pins, the base model's first."""
        return [self.base, *([] if self.adapter is None else [self.adapter]), *self.data, *self.earlier]


class LicensedInput(Record):
    """One input and its license.

    Attributes:
        kind: Whether the base model or a dataset.
        repo: The repository; null for a license that is looked at without one.
        file: The name of a local file, which has no repository.
        commit: Where its card and its license files were read.
        licenses: What its card states, as it states it; several count as all of them, none as a missing license.
        license_name: The card's `license_name`.
        license_link: The card's `license_link`: an address, or a file of the repository.
        files: Its license, notice and policy files: path to sha256.
    """

    kind: InputKind
    repo: str | None = None
    file: str | None = None
    commit: Commit | None = None
    licenses: list[str]
    license_name: str | None = None
    license_link: str | None = None
    files: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def license_files(self) -> list[str]:
        """Those of `files` that hold a license, not a notice or a policy; the one that `license_link` names first."""
        found = [name for name in self.files if name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
        return sorted(found, key=lambda name: (name != self.license_link, len(name), name))

    @property
    def label(self) -> str:
        """What to call the input: its repository if there is one."""
        return self.repo or self.file or f"the {'base model' if self.kind == 'base' else 'dataset'}"


class LicenseRecord(Record):
    """The licenses of all inputs of a run, the base model's first. `upstream` holds the digest of the pins."""

    upstream: dict[str, str]
    inputs: list[LicensedInput]
