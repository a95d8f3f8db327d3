"""Checks the folder of an embedded Hub, and records what is wrong with it."""

from dataclasses import asdict
from pathlib import Path

from hubtune.localhub.fsck import DamageKind, check_hub, large_files
from hubtune.localhub.hub_folder import take_folder
from hubtune.records.base import Record
from hubtune.records.progress import Progress


class PlaceRecord(Record):
    """Where a damaged object is in use; see `hubtune.localhub.fsck.Place`."""

    repo: str
    commit: str | None
    path: str | None


class DamageRecord(Record):
    """One thing that is wrong; see `hubtune.localhub.fsck.Damage`."""

    kind: DamageKind
    name: str
    problem: str
    detail: str
    places: tuple[PlaceRecord, ...]


class FsckRecord(Record):
    """What a check of a Hub's folder found; see `hubtune.localhub.fsck.HubReport`."""

    hub: str
    repos: int
    git_objects: int
    large_files: int
    large_bytes: int
    damage: tuple[DamageRecord, ...]
    unreferenced: int
    leftovers: tuple[str, ...]


def check_folder(root: Path, progress: Progress) -> FsckRecord:
    """Checks every object of the embedded Hub in a folder; changes nothing.

    Raises:
        HubError: The folder is not a Hub's, or is being served.
    """
    with take_folder(root, make=False) as folder:
        files = large_files(folder)
        size = sum(path.stat().st_size for path in files)
        with progress.task("Reading large files", size, unit="bytes") as task:
            report = check_hub(folder, files, task.advance)
    return FsckRecord.model_validate({"hub": str(root), **asdict(report)})
