"""A place that cannot be written, whatever the reason, is named before the work, and what was measured is not lost."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune.errors import CheckError, DiskFullError, FileError
from tests.end_to_end.worlds import TARGET, World

# Whether a disk has no room or cannot be written is one to a file system such as /proc.
CODES = (FileError.exit_code, DiskFullError.exit_code, CheckError.exit_code)
RELEASE = f"{TARGET}@v1.0.0"


@pytest.fixture
def read_only(mount: Callable[[str], Path]) -> Path:
    """A folder on a disk that is mounted for reading alone."""
    return mount("ro,size=1m")


def broken_places(folder: Path, read_only: Path) -> dict[str, Path]:
    (folder / "file").write_text("")
    (folder / "circle").symlink_to(folder / "circle")
    return {
        "read-only": read_only / "x",
        "below a file": folder / "file" / "x",
        "a circle of links": folder / "circle" / "x",
        "a long name": folder / ("x" * 300),
        "in /proc": Path("/proc/nowhere/x"),
    }


def refused(world: World, place: Path, *arguments: str | Path, **env: str) -> None:
    shown = world.hubtune(*arguments, **env)
    assert "Traceback" not in shown.err, shown.err
    assert shown.code in CODES, (place, shown.code, shown.err)
    assert str(place) in shown.err, shown.err
    assert "What to do" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("pin",),
        ("run", "--run-dir", "run2"),
        ("verify", RELEASE),
        pytest.param(("generate", RELEASE, "Hello"), marks=pytest.mark.full_trial),
        pytest.param(("merge", RELEASE, "out"), marks=pytest.mark.full_trial),
        pytest.param(("evaluate", RELEASE), marks=pytest.mark.full_trial),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_cache_that_cannot_be_written(finished, tmp_path, read_only, picked, arguments):
    places = broken_places(tmp_path, read_only)
    for name in picked(sorted(places), 2):
        refused(finished, places[name], *arguments, "--hub", finished.hub, HF_HOME=str(places[name]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--run-dir"),
        ("merge", RELEASE),
        ("evaluate", RELEASE, "--out"),
        ("card", "preview", "run", "--output"),
        pytest.param(("evaluate", "run", "--out"), marks=pytest.mark.full_trial),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_place_for_the_result_that_cannot_be_written(finished, tmp_path, read_only, picked, arguments):
    places = broken_places(tmp_path, read_only)
    hub = () if "preview" in arguments or "run" in arguments[1:2] else ("--hub", finished.hub)
    for name in picked(sorted(places), 2):
        shown = finished.hubtune(*arguments, places[name], *hub)
        assert shown.code in CODES, (name, shown.code, shown.err)
        assert str(places[name]) in shown.err
        assert "Loading" not in shown.err
        assert "Training" not in shown.err
        assert "perplexity" not in shown.err


@pytest.fixture
def frozen(mount: Callable[[str], Path]) -> Callable[[Path], Path]:
    """Copies a folder to a disk that is then for reading alone; gives the copy."""

    def freeze(folder: Path) -> Path:
        disk = mount("size=8m")
        shutil.copytree(folder, disk / folder.name)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return disk / folder.name

    return freeze


def test_a_run_that_cannot_be_written_is_not_published(finished, frozen):
    run = frozen(finished.run_dir)
    refused(finished, run, "publish", run, "--tag", "v2.0.0", "--hub", finished.hub)
    assert finished.writes() == []


def test_a_lock_that_cannot_be_written_is_named_before_anything_is_fetched_unless_it_stays(finished, frozen):
    project = finished.root / "project"
    project.mkdir()
    for name in ("hubtune.yaml", "hubtune.lock"):
        shutil.copyfile(finished.work / name, project / name)
    project = frozen(project)
    config = project / "hubtune.yaml"
    finished.done("pin", config, "--hub", finished.hub)
    with finished.served() as api:
        finished.extend_data(api)
    home = finished.root / "another-home"
    refused(finished, project, "pin", config, "--upgrade", "--hub", finished.hub, HF_HOME=str(home))
    assert not [path for path in home.rglob("*.safetensors") if path.is_file()]


def test_what_was_measured_is_shown_where_its_file_s_folder_was_taken_away_meanwhile(finished):
    place = finished.work / "results"
    place.mkdir()
    with finished.start("--json", "evaluate", "run", "--out", "results/evaluation.json") as process:
        shown = []
        for said in process.stderr:
            shown.append(said)
            if said.startswith("Held-out rows, base …"):
                place.rmdir()
        record = json.loads(process.stdout.read())
    assert process.returncode == FileError.exit_code, "".join(shown)
    assert record["measures"] == finished.record("evaluation.json")["measures"]
    assert sum(line.startswith("Error: Cannot write results/evaluation.json") for line in shown) == 1


@pytest.mark.parametrize("command", ["serve", "import"])
def test_a_hubs_folder_that_cannot_be_written(finished, sources, tmp_path, read_only, picked, command):
    places = broken_places(tmp_path, read_only)
    for name in picked(sorted(places), 2):
        arguments = {
            "serve": ("hub", "serve", places[name], "--port", "0"),
            "import": ("hub", "import", sources / "quotes", "lab/q", "--type", "dataset", "--hub", places[name]),
        }[command]
        shown = finished.hubtune(*arguments)
        assert shown.code not in (0, 1), shown.err
        assert "Traceback" not in shown.err
        assert str(places[name]) in shown.err
