"""The pin stage: each input's revision becomes a commit, and the files of that commit are fetched and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from hubtune.config.data import DataConfig
from hubtune.config.schema import BaseAdapterConfig, BaseModelConfig, Input, TuneConfig
from hubtune.hub.read import check_access, resolve
from hubtune.hub.snapshot import download_size, fetch
from hubtune.pin.files import check_adapter, check_no_adapter, check_safetensors
from hubtune.pin.lock import locked_pin
from hubtune.records.pins import Pin, PinSet, RepoType
from hubtune.records.progress import Progress, Task


@dataclass(frozen=True)
class Resolution:
    """The pins of a run's inputs, and how many bytes it takes at most to fetch them all.

    Attributes:
        streamed: Pins of data sets whose rows are streamed, so that their files are not fetched.
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
        # A data set that is streamed in one place and not in another is fetched.
        whole = [pin for entry, pin in zip(entries, data, strict=True) if not entry.streaming]
        border = len(config.pinned_data)
        return cls(
            PinSet(base=base, data=data[:border], adapter=adapter, earlier=data[border:]),
            size,
            tuple(pin for pin in data if pin not in whole),
            config.base.allow_remote_code == base.commit,
        )


def resolve_pins(config: TuneConfig, lock: PinSet | None, progress: Progress) -> Resolution:
    """Returns a pin for each input; entries that the lock holds are taken from it, the others asked of the Hub.

    Raises:
        HubError: An input does not exist or cannot be read.
        NoSafetensorsError: The base model has no weights in the safetensors format.
    """
    found = [resolve_pin(entry, lock, progress) for entry in config.pinned]
    return Resolution.of(config, [pin for pin, _ in found], sum(size for _, size in found))


def fetch_snapshots(resolution: Resolution, progress: Progress) -> None:
    """Fetches every pinned input by its commit; `hubtune.hub.snapshot.cached` finds them again.

    Raises:
        HubError: One cannot be had, or came damaged.
        DiskFullError: There is no room.
    """
    with progress.task("Fetching the pinned inputs", resolution.size, unit="bytes") as task:
        for pin in resolution.pins.all():
            told = partial(_tell, task, pin.repo)
            code = resolution.code and pin is resolution.pins.base
            fetch(pin, told, streamed=pin in resolution.streamed, code=code)


def _tell(task: Task, name: str, count: int) -> None:
    task.advance(count, note=name)


def resolve_pin(entry: Input, lock: PinSet | None, progress: Progress) -> tuple[Pin, int]:
    """Returns the pin of one input, and how many bytes it takes at most to fetch it; see `resolve_pins`."""
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
