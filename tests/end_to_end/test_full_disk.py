"""A full disk ends in one clear message; what was there before stays whole.

These tests mount disks of a few kilobytes.
"""

import contextlib
import json
import shutil

from hubtune.errors import DiskFullError
from tests.end_to_end.worlds import digests


def test_a_run_that_cannot_fit_is_refused_before_anything_is_fetched(world, tiny_disk):
    disk = tiny_disk("300k")
    shown = world.hubtune("run", "--push", "--hub", world.hub, "--run-dir", disk / "run")
    shown.refused(DiskFullError, str(disk), "--run-dir")
    assert not (world.root / "home").exists()
    assert world.writes() == []


def test_a_cache_that_fills_while_fetching_ends_the_fetching(world, tiny_disk):
    before = world.stored()
    disk = tiny_disk("40k")
    shown = world.hubtune("pin", "--hub", world.hub, HF_HOME=str(disk))
    shown.refused(DiskFullError, str(disk))
    assert not (world.work / "hubtune.lock").exists()
    assert world.writes() == []
    assert world.stored() == before


def test_a_run_directory_that_fills_keeps_the_adapter_that_it_had(finished, tiny_disk):
    disk = tiny_disk("400k")
    moved = disk / "run"
    shutil.copytree(finished.run_dir, moved)
    before = digests(moved / "adapter")
    _fill(disk)
    shown = finished.hubtune("train", moved)
    shown.refused(DiskFullError, str(moved))
    assert digests(moved / "adapter") == before


def test_a_disk_that_fills_with_checkpoints_ends_the_training_and_the_whole_ones_stay(seeded, tiny_disk, tmp_path):
    world = seeded.copy(tmp_path / "world")
    # There is room for bytes, which a run asks for first, and for few files.
    disk = tiny_disk("300m,nr_inodes=60")
    every = ("-s", "train.checkpoint_steps=1", "-s", "train.keep_checkpoints=1000")
    shown = world.hubtune("run", "--hub", world.hub, "--run-dir", disk / "run", *every)
    shown.refused(DiskFullError, str(disk / "run"), "--resume")
    checkpoints = [*(disk / "run/checkpoints").glob("checkpoint-*")]
    assert checkpoints
    assert not [path for path in checkpoints if not (path / "manifest.json").is_file()]


def test_a_card_that_cannot_be_written_keeps_the_one_before(finished, tiny_disk):
    disk = tiny_disk("400k")
    moved = disk / "run"
    shutil.copytree(finished.run_dir, moved)
    before = (moved / "README.md").read_text()
    _fill(disk)
    shown = finished.hubtune("card", "render", moved)
    shown.refused(DiskFullError, str(moved))
    assert (moved / "README.md").read_text() == before
    assert not list(moved.glob(".README.md*"))


def test_a_hub_whose_disk_is_full_refuses_the_release_and_takes_it_once_there_is_room(finished, tiny_disk):
    disk = tiny_disk("4m")
    shutil.copytree(finished.hub, disk / "hub")
    before = digests(disk / "hub/repos")
    publish = ("publish", "run", "--tag", "v2.0.0", "--hub", disk / "hub")
    filler = _fill(disk)
    shown = finished.hubtune(*publish)
    assert shown.code != 0
    assert "Traceback" not in shown.out + shown.err
    assert sum(line.startswith("Error: ") for line in shown.err.splitlines()) == 1
    left = digests(disk / "hub/repos")
    assert {path: left.get(path) for path in before} == before
    assert not list((disk / "hub/repos").rglob("v2.0.0"))
    filler.unlink()
    finished.done(*publish)
    assert list((disk / "hub/repos/models/lab/quotes-lora.git").rglob("v2.0.0"))
    for line in (disk / "hub/requests.jsonl").read_text().splitlines():
        json.loads(line)


def _fill(disk):
    """Leaves not a byte free, and returns the file whose removal frees the disk again."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"\0" * 4096):
            pass
    return path
