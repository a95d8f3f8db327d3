"""The pin stage: resolves each input's revision to a commit, downloads and checks its files; and `hubtune.lock`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from hubtune.config.data import DataConfig
from hubtune.config.schema import BaseAdapterConfig, BaseModelConfig, Input, TuneConfig
from hubtune.errors import LockError, ModelError, NoSafetensorsError, RecordError
from hubtune.files import require_writable
from hubtune.hub.read import check_access, resolve
from hubtune.hub.snapshot import download_size, fetch
from hubtune.records.base import Pin, PinSet, Progress, ProgressTask, RepoType, write_atomic
from hubtune.records.release import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MODEL_CONFIG


def check_no_adapter(repo: str, commit: str, files: Iterable[str]) -> None:
    """Refuses an adapter instead of a base model.

    Raises:
        ModelError: The repository holds an adapter and no model.
    """
    names = set(files)
    if ADAPTER_CONFIG in names and MODEL_CONFIG not in names:
        raise ModelError(
            f"{repo} at {commit} is an adapter, not a base model.",
            hint="Name the model that it was trained on as `base.repo`; to train the adapter further, name it as "
            "`base.adapter.repo`.",
        )


def check_adapter(repo: str, commit: str, files: Iterable[str]) -> None:
    """Refuses an adapter to train further that is not in the safetensors format.

    Raises:
        ModelError: It is not.
    """
    missing = sorted({ADAPTER_CONFIG, ADAPTER_WEIGHTS} - set(files))
    if missing:
        raise ModelError(
            f"{repo} at {commit} is not an adapter that can be trained further: it has no {missing[0]}.",
            hint="Name an adapter in the safetensors format as `base.adapter.repo`, or leave `base.adapter` out.",
        )


def check_safetensors(repo: str, commit: str, files: Iterable[str]) -> None:
    """Refuses a base model that has no weights in the safetensors format.

    Raises:
        NoSafetensorsError: There are none; other formats can run code when they are loaded.
    """
    names = list(files)
    if any(fnmatch(name, "*.safetensors") for name in names):
        return
    others = sorted(
        name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf"))
    )
    found = f" (it has {', '.join(others[:3])})" if others else ""
    raise NoSafetensorsError(
        f"{repo} at {commit} has no weights in the safetensors format{found}; other formats are not loaded, "
        "since reading them can run code.",
        hint="Choose a base model or a revision with safetensors; a GGUF file can be converted: hubtune hub import "
        "FILE REPO",
    )


def lock_file(config_file: Path) -> Path:
    """Returns the path of the lock of a config."""
    return config_file.parent / "hubtune.lock"


def read_lock(path: Path) -> PinSet | None:
    """Reads the lock; None if there is none.

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
    """Writes the lock, unless it is unchanged."""
    if _differs(path, pins):
        write_atomic(path, pins.to_json())


def require_lock_place(path: Path, pins: PinSet) -> None:
    """Checks that the lock can be written, before pinning; a lock that does not change can be anywhere.

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
    """Refuses a lock that does not cover the config exactly.

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


@dataclass(frozen=True)
class Resolution:
    """The pins of a run's inputs, and the maximum number of bytes to download.

    Attributes:
        streamed: Pins of datasets whose rows are streamed, so that their files are not fetched.
        code: Whether the base's Python files are fetched: the config allows those of this commit.
    """

    pins: PinSet
    size: int
    streamed: tuple[Pin, ...] = ()
    code: bool = False

    @classmethod
    def of(cls, config: TuneConfig, pins: Sequence[Pin], size: int) -> "Resolution":
        """Returns the resolution of a config's inputs, whose pins come in their order."""
        base, *others = pins
        adapter = None if config.base.adapter is None else others[0]
        data = others if adapter is None else others[1:]
        entries = [*config.pinned_data, *config.pinned_earlier]
        # A dataset that is streamed in one place and not in another is fetched.
        whole = [pin for entry, pin in zip(entries, data, strict=True) if not entry.streaming]
        border = len(config.pinned_data)
        return cls(
            PinSet(base=base, data=data[:border], adapter=adapter, earlier=data[border:]),
            size,
            tuple(pin for pin in data if pin not in whole),
            config.base.allow_remote_code == base.commit,
        )


def resolve_pins(config: TuneConfig, lock: PinSet | None, progress: Progress) -> Resolution:
    """Returns a pin for each input; entries in the lock are taken from it, and the others are resolved by the Hub.

    Raises:
        HubError: An input does not exist or cannot be read.
        NoSafetensorsError: The base model has no weights in the safetensors format.
    """
    found = [resolve_pin(entry, lock, progress) for entry in config.pinned]
    return Resolution.of(config, [pin for pin, _ in found], sum(size for _, size in found))


def fetch_snapshots(resolution: Resolution, progress: Progress) -> None:
    """Fetches every pinned input by its commit; `hubtune.hub.snapshot.cached` finds them again.

    Raises:
        HubError: One is not available, or came damaged.
        DiskFullError: There is no room.
    """
    with progress.task("Fetching the pinned inputs", resolution.size, unit="bytes") as task:
        for pin in resolution.pins.all():
            told = partial(_tell, task, pin.repo)
            code = resolution.code and pin is resolution.pins.base
            fetch(pin, told, streamed=pin in resolution.streamed, code=code)


def _tell(task: ProgressTask, name: str, count: int) -> None:
    task.advance(count, note=name)


def resolve_pin(entry: Input, lock: PinSet | None, progress: Progress) -> tuple[Pin, int]:
    """Returns the pin of one input, and the maximum number of bytes to download; see `resolve_pins`."""
    repo_type: RepoType = "dataset" if isinstance(entry, DataConfig) else "model"
    assert entry.repo is not None, "a local file is not pinned"
    repo = entry.repo
    locked = locked_pin(lock, entry)
    found = resolve(repo, repo_type, locked.commit if locked else entry.revision)
    if found.gated:
        check_access(repo, repo_type)
    if isinstance(entry, BaseAdapterConfig):
        check_adapter(repo, found.commit, found.files)
    if isinstance(entry, BaseModelConfig):
        check_no_adapter(repo, found.commit, found.files)
        check_safetensors(repo, found.commit, found.files)
    if locked is None and lock is not None:
        progress.say(f"{repo} at {entry.revision} is not in hubtune.lock: pinned to {found.commit}")
    pin = locked or Pin(
        repo=repo,
        type=repo_type,
        requested=entry.revision,
        commit=found.commit,
        license=found.license,
        gated=found.gated,
    )
    streamed = isinstance(entry, DataConfig) and entry.streaming
    code = isinstance(entry, BaseModelConfig) and entry.allow_remote_code is not None
    return pin, download_size(repo_type, found.files, streamed=streamed, code=code)
