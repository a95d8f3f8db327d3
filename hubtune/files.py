"""Reads files within limits, and turns errors of the operating system and of libraries into errors about the input.

Each error has a path or an input, a reason and a next step.
"""

import contextlib
import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hubtune.errors import DiskFullError, FileError, HubtuneError, MemoryNeededError, advise

MOST_BYTES = 16 << 20
"""How much of a file is read at once unless a caller says otherwise."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REASONS = {
    errno.EACCES: "you lack the permission",
    errno.EPERM: "you lack the permission",
    errno.EROFS: "its disk is read-only",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ELOOP: "the links in its path lead in a circle",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EEXIST: "something else is in its place",
    errno.ENOTEMPTY: "the folder in its place is not empty",
}
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_RUST_NUMBER = re.compile(r"\(os error (\d+)\)")
_TORCH_OPENS = re.compile(r"open file failed with strerror: (.+)")
_TORCH_LACKS = re.compile(r"Parent directory .* does not exist")
# A write of `torch.save` that failed, of which torch keeps no reason; there is one that is usual.
_TORCH_WRITES = ("PytorchStreamWriter failed", "unexpected pos", "iostream error")
_ELSEWHERE = "Correct the path, or choose a place that you can {verb}."


@contextlib.contextmanager
def file_errors(
    path: Path | str, verb: Literal["read", "write"] = "write", *, hint: str | None = None
) -> Iterator[None]:
    """Turns every OSError into an error that names `path`.

    Args:
        path: The file or folder that the block reads or writes, or what to call it in a message.
        verb: What the block does with it.
        hint: What to do next, in place of the usual advice.

    Raises:
        DiskFullError: There is no room, or a quota is used up.
        FileError: Anything else that the operating system refuses.
    """
    try:
        yield
    except Exception as error:
        found = os_error_in(error)
        if found is None:
            raise
        raise explain(found, path, verb, hint=hint) from error


def os_error_in(error: BaseException) -> OSError | None:
    """Returns the operating system's error that a library's exception wraps, or None."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        # As pathlib has it until Python 3.13.
        return error.__context__
    number = _number_in(error)
    return None if number is None else OSError(number, os.strerror(number))


def _number_in(error: BaseException) -> int | None:
    """Returns the system's number of an error of safetensors or torch, which keep its text alone."""
    said = str(error)
    if type(error).__name__ == "SafetensorError" and (found := _RUST_NUMBER.search(said)):
        return int(found[1])
    if not isinstance(error, RuntimeError):
        return None
    if found := _TORCH_OPENS.search(said):
        return next((number for number in errno.errorcode if os.strerror(number) == found[1]), None)
    if _TORCH_LACKS.match(said):
        return errno.ENOENT
    return errno.ENOSPC if any(sign in said for sign in _TORCH_WRITES) else None


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields an empty folder for temporary files, which is removed when the context ends.

    Raises:
        FileError: There is no place for one.
        DiskFullError: It is full.
    """
    hint = "Have TMPDIR name a folder that you can write, on a disk with room."
    with contextlib.ExitStack() as removed:
        place = tempfile.tempdir or os.environ.get("TMPDIR")
        with file_errors(Path(place) if place else "a temporary folder", hint=hint):
            folder = Path(removed.enter_context(tempfile.TemporaryDirectory(prefix="hubtune-")))
        try:
            yield folder
        except Exception as error:
            found = os_error_in(error)
            own = found is not None and isinstance(found.filename, str) and Path(found.filename).is_relative_to(folder)
            if found is None or not (own or disk_is_full(found)):
                raise
            raise explain(found, folder, hint=hint) from error


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error means that the disk is full or a quota is used up."""
    return isinstance(error, OSError) and error.errno in _FULL


def explain(
    error: OSError, path: Path | str, verb: Literal["read", "write"] = "write", *, hint: str | None = None
) -> FileError:
    """Returns the error to raise for what the operating system said about `path`; see `file_errors`."""
    path = _at_fault(error, path)
    if error.errno in _FULL:
        return DiskFullError(f"The disk that holds {path} is full.", hint=hint or room_hint())
    if error.errno == errno.ENOENT:
        reason = "there is no such file or folder" if verb == "read" else "its folder does not exist"
    else:
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    return FileError(f"Cannot {verb} {path}: {reason}.", hint=hint or _ELSEWHERE.format(verb=verb))


def _at_fault(error: OSError, path: Path | str) -> Path | str:
    """Returns the path that the system refused, if it is another place than the one that was meant to be used."""
    own = error.filename
    if not isinstance(own, str) or isinstance(path, str) or not Path(own).is_absolute():
        return path
    refused, meant = Path(own), path.absolute()
    # A file or folder is written beside its place first, under a name that holds its own.
    beside = refused.is_relative_to(meant.parent) and meant.name in str(refused.relative_to(meant.parent))
    return path if beside or meant.is_relative_to(refused.parent) else refused


def require_writable(folder: Path, *, hint: str | None = None) -> None:
    """Checks that files can be written into an existing or new folder; leaves nothing behind.

    Args:
        folder: The folder; it need not exist.
        hint: As in `file_errors`.

    Raises:
        FileError: A file is at its place or in its path, or its disk or its permissions refuse it.
        DiskFullError: There is no room for a file.
    """
    with file_errors(folder, hint=hint):
        # For what is wrong with the path itself, such as the length of a name.
        with contextlib.suppress(FileNotFoundError):
            folder.stat()
        present = folder.absolute()
        while not os.path.lexists(present):
            present = present.parent
        with tempfile.TemporaryFile(dir=present):
            pass


def room_hint() -> str:
    """Returns what to do if a disk is full."""
    return advise(
        "--resume",
        "Free some space, then run the same command with --resume: finished stages are kept.",
        "Free some space, then run the same command again.",
    )


def read_bytes(path: Path, *, most: int = MOST_BYTES, name: str = "") -> bytes:
    """Returns the content of a regular file.

    Never waits: a named pipe, a device or a socket in the file's place is refused without being read.

    Args:
        path: The file; links are followed.
        most: The most bytes that it may hold.
        name: What to call it in a message, in place of its path.

    Raises:
        FileError: There is no such file, it is not a regular one, it is larger, or it cannot be read.
    """
    shown = name or path
    with file_errors(shown, "read"):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", closefd=True) as file:
            mode = os.fstat(file.fileno()).st_mode
            kind = next((name for test, name in _KINDS if test(mode)), None)
            if kind is not None:
                raise FileError(f"{shown} is {kind}, not a file.", hint="Give the path of a regular file.")
            content = file.read(most + 1)
    if len(content) > most:
        raise FileError(
            f"{shown} is larger than {most / 2**20:,.3g} MiB, the most that is read of such a file.",
            hint="Check that it is the file that you mean.",
        )
    return content


def read_text(path: Path, *, most: int = MOST_BYTES, name: str = "") -> str:
    """Returns the text of a regular file in UTF-8, with or without a byte order mark.

    Raises:
        FileError: As `read_bytes`, or it is not UTF-8; the message names the first byte that is not.
    """
    try:
        return read_bytes(path, most=most, name=name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{name or path} is not text in UTF-8: the first byte that is not is byte {error.start + 1}.",
            hint=f"Save it as UTF-8: iconv -f LATIN1 -t UTF-8 {path.name}",
        ) from None


_LONGEST = 300
_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
SEE = "To see where it came from, run the command again as hubtune --traceback COMMAND."
# What a library in Rust raises for a fault of its own; no Exception.
_PANIC = "PanicException"


@contextlib.contextmanager
def loading(fault: str, error: type[HubtuneError], *, hint: str | None = None) -> Iterator[None]:
    """Turns exceptions within the context into an error about a named input; hubtune's own errors pass.

    Args:
        fault: What the error says, before its reason: "The tokenizer of org/base cannot be loaded".
        error: The class to raise.
        hint: What to do next.

    Raises:
        HubtuneError: Of the class `error`: the input cannot be loaded.
        MemoryNeededError: The memory does not do for it.
        DiskFullError: A disk is full.
    """
    try:
        yield
    except HubtuneError:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as cause:
        if not isinstance(cause, Exception) and type(cause).__name__ != _PANIC:
            raise
        raise _explained(cause, fault, error, hint) from cause


def reason(cause: BaseException) -> str:
    """Returns the first line of an exception's message, with its type if that is needed to understand it."""
    lines = str(cause).strip().splitlines()
    said = "".join(sign if sign.isprintable() else " " for sign in (lines or [""])[0]).strip().rstrip(".")
    if len(said) > _LONGEST:
        said = f"{said[:_LONGEST]}…"
    # Else a KeyError says nothing but the key.
    told = " " in said and not isinstance(cause, LookupError | AssertionError | AttributeError)
    return said if told else f"{type(cause).__name__}: {said}".rstrip(": ")


def _explained(cause: BaseException, fault: str, error: type[HubtuneError], hint: str | None) -> HubtuneError:
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return explain(cause, str(cause.filename or "the temporary folder"))
    if isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in _MEMORY):
        return MemoryNeededError(
            f"{fault}: this machine has too little memory for it.",
            hint="End other programs, or use a smaller model or less data.",
        )
    return error(f"{fault}: {reason(cause)}.", hint=f"{hint} {SEE}" if hint else SEE)
