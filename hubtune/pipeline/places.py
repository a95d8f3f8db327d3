"""Where the inputs of a run lie: the snapshots of what is pinned, and local files."""

from pathlib import Path
from typing import Protocol

from hubtune.config.schema import TuneConfig
from hubtune.hub.snapshot import cached
from hubtune.models.remote_code import permit
from hubtune.records.pins import Pin, PinSet


class FolderOf(Protocol):
    """Finds the snapshot of a pin; where its rows are streamed, the folder with its card."""

    def __call__(self, pin: Pin, /, *, streamed: bool) -> Path:
        """Returns the folder."""


def base_folder(config: TuneConfig, pins: PinSet) -> Path:
    """Returns the snapshot of a run's base, whose code may be run where the config allows that of its commit.

    Raises:
        RecordError: It is not in the cache any more.
        RemoteCodeError: It needs code that the config does not allow.
    """
    folder = cached(pins.base)
    permit(folder, pins.base.repo, pins.base.commit, config.base.allow_remote_code)
    return folder


def data_places(config: TuneConfig, pins: PinSet, folder_of: FolderOf) -> list[Path]:
    """Returns the place of each data set: the folder of a snapshot, or a local file.

    They come in the config's order, those of the earlier task last.

    Args:
        config: The run's config.
        pins: Its pins.
        folder_of: Finds the snapshot of a pin.
    """
    pinned = iter([*pins.data, *pins.earlier])
    return [
        Path(entry.path) if entry.path is not None else folder_of(next(pinned), streamed=entry.streaming)
        for entry in config.all_data
    ]
