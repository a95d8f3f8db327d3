"""`hubtune.lock`: the pins that a team shares, beside the config."""

from pathlib import Path

from hubtune.config.schema import BaseAdapterConfig, BaseModelConfig, Input, TuneConfig
from hubtune.errors import LockError, RecordError
from hubtune.files import require_writable
from hubtune.records.base import write_atomic
from hubtune.records.pins import Pin, PinSet


def lock_file(config_file: Path) -> Path:
    """Returns the lock's place for a config's."""
    return config_file.parent / "hubtune.lock"


def read_lock(path: Path) -> PinSet | None:
    """Reads the lock; None where there is none.

    Raises:
        RecordError: The file is not a lock.
    """
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return PinSet.read(path)
    except RecordError as error:
        raise RecordError(
            error.message, details=error.details, hint="Restore it from git, or write a new one: hubtune pin --upgrade"
        ) from error


def write_lock(path: Path, pins: PinSet) -> None:
    """Writes the lock, unless it says just that already."""
    if _differs(path, pins):
        write_atomic(path, pins.to_json())


def require_lock_place(path: Path, pins: PinSet) -> None:
    """Makes sure that the lock can be written, before the work that it tells of; one that stays may lie anywhere.

    Raises:
        FileError: It cannot.
    """
    if _differs(path, pins):
        require_writable(path.absolute().parent)


def _differs(path: Path, pins: PinSet) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != pins.to_json()


def locked_pin(lock: PinSet | None, entry: Input) -> Pin | None:
    """Returns the lock's pin for an entry of the config: the same repository, type and requested revision."""
    if lock is None:
        return None
    candidates = [*lock.data, *lock.earlier]
    if isinstance(entry, BaseModelConfig):
        candidates = [lock.base]
    elif isinstance(entry, BaseAdapterConfig):
        candidates = [] if lock.adapter is None else [lock.adapter]
    wanted = _wanted(entry)
    return next((pin for pin in candidates if (pin.repo.lower(), pin.requested) == wanted), None)


def require_lock(lock: PinSet | None, config: TuneConfig, path: Path) -> None:
    """Refuses to go on where the lock does not cover the config exactly.

    Raises:
        LockError: The lock is missing, lacks an entry, or has one that the config does not.
    """
    if lock is None:
        raise LockError(
            f"--locked needs {path}, and there is no such file.",
            hint="Write it: run `hubtune pin` with the same config.",
        )
    entries = config.pinned
    missing = [f"{entry.repo} at {entry.revision}: not in the lock" for entry in entries if not locked_pin(lock, entry)]
    wanted = {_wanted(entry) for entry in entries}
    extra = [
        f"{pin.repo} at {pin.requested}: in the lock, not in the config"
        for pin in lock.all()
        if (pin.repo.lower(), pin.requested) not in wanted
    ]
    if missing or extra:
        raise LockError(
            f"--locked was given, and {path} does not match the config.",
            details=missing + extra,
            hint="Bring the lock up to date: run `hubtune pin` with the same config.",
        )


def _wanted(entry: Input) -> tuple[str, str]:
    assert entry.repo is not None, "a local file is not pinned"
    return entry.repo.lower(), entry.revision
