"""The folder of an embedded Hub: running work on it, and the check of its files.

`huggingface_hub` reads its environment once, when it is imported. So nothing that imports it may be imported before
`embedded_hub` is entered, which is why this module is separate from the jobs that run on a Hub.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from hubtune.localhub.fsck import DamageKind, check_hub, large_files
from hubtune.localhub.hub_folder import take_folder
from hubtune.localhub.server import EmbeddedHub
from hubtune.pages.renderer import Renderer
from hubtune.records.base import Progress, Record


@contextmanager
def embedded_hub(folder: Path) -> Iterator[EmbeddedHub]:
    """Serves the embedded Hub in `folder` on a free port and points the clients of this process to it.

    Raises:
        HubError: `folder` is served by another process.
    """
    if "huggingface_hub" in sys.modules:
        raise RuntimeError("huggingface_hub was imported before the embedded Hub's address was known")
    # Whoever has a token for another Hub does not have it sent to this one, which takes any.
    settings = {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "embedded", "HF_HUB_OFFLINE": "0"}
    before = {name: os.environ.get(name) for name in (*settings, "HF_ENDPOINT")}
    with EmbeddedHub(folder, pages=Renderer()) as hub:
        os.environ.update(settings, HF_ENDPOINT=hub.url)
        try:
            yield hub
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


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
