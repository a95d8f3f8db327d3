"""The job of `hubtune pin`: inputs resolved and fetched, and a lock that says so."""

from pathlib import Path

from hubtune.config.schema import TuneConfig
from hubtune.pin.lock import lock_file, read_lock, require_lock_place, write_lock
from hubtune.pin.pinning import fetch_snapshots, resolve_pins
from hubtune.records.pins import PinSet
from hubtune.records.progress import Progress


def pin_inputs(config: TuneConfig, config_file: Path, progress: Progress, *, upgrade: bool = False) -> PinSet:
    """Pins the inputs, fetches them, and writes `hubtune.lock`, beside the config, where it changes.

    Args:
        config: The config.
        config_file: Its file.
        progress: Told of entries that the lock does not hold, and of the fetching.
        upgrade: Ask the Hub for every entry, also those that the lock holds.

    Raises:
        HubError: An input does not exist or cannot be read.
        FileError: The lock would change, and cannot be written.
    """
    path = lock_file(config_file)
    resolution = resolve_pins(config, None if upgrade else read_lock(path), progress)
    require_lock_place(path, resolution.pins)
    fetch_snapshots(resolution, progress)
    write_lock(path, resolution.pins)
    return resolution.pins
