"""A released run in its trackers: measures and release are there, and the trackers' own pages show the loss."""

import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import TimeoutError as NotInTime

from hubtune.errors import MissingExtraError
from tests.browser import visit
from tests.end_to_end.worlds import TARGET, World

if TYPE_CHECKING:
    from playwright.sync_api import Page

TRACKERS = ["trackio", "tensorboard", "wandb", "mlflow"]
SHOW_TRACKIO = """
import sys, trackio
trackio.show(open_browser=False, server_port=int(sys.argv[1]))
"""
WITHOUT_WANDB = """
from hubtune.cli.main import main
from hubtune.pipeline import tracking

found = tracking.find_spec
tracking.find_spec = lambda name: None if name == "wandb" else found(name)
main()
"""


@pytest.fixture(scope="module")
def tracked(once, seeded: World) -> World:
    """A world where a run was released that reports to every tracker; for reading only."""

    def make(folder: Path) -> None:
        world = seeded.copy(folder)
        world.forget_requests()
        world.config(train__report_to=TRACKERS, train__country="FRA")
        done = world.done(
            *("--json", "run", "--push", TARGET, "--hub", world.hub, "--run-dir", "run"), HF_TOKEN="hf_canarycanary"
        )
        (folder / "stdout").write_text(done.out)

    return World(once("tracked", make))


def _run(world: World, tracker: str) -> dict:
    return next(run for run in world.record("training.json")["trackers"] if run["tracker"] == tracker)


def _facts(world: World) -> dict[str, str]:
    release = world.record("release.json")
    return {f"release/{name}": release[name] for name in ("repo", "tag", "commit")}


def _perplexity(world: World) -> float:
    measures = world.record("evaluation.json")["measures"]
    return next(measure["tuned"] for measure in measures if measure["name"] == "perplexity")


def test_every_tracker_has_the_measures_and_the_release_and_the_card_names_its_run(tracked: World):
    assert json.loads((tracked.root / "stdout").read_text())["tag"] == "v1.0.0"
    folder, perplexity = tracked.run_dir / "trackers", _perplexity(tracked)

    with sqlite3.connect(folder / "trackio/quotes-lora.db") as database:
        entries = [json.loads(row) for (row,) in database.execute("select metrics from metrics order by step")]
        ((config,),) = database.execute("select config from configs").fetchall()
    assert [entry[name] for entry in entries if (name := "evaluation/held-out/perplexity") in entry] == [perplexity]
    assert _facts(tracked).items() <= json.loads(config).items()
    # What transformers noted of the training is there still.
    assert json.loads(config)["learning_rate"] == 0.01

    content = b"".join(path.read_bytes() for path in (folder / "tensorboard").iterdir())
    assert all(name.encode() in content and text.encode() in content for name, text in _facts(tracked).items())

    files = [path.read_bytes() for path in folder.glob("wandb/offline-run-*/run-*.wandb")]
    assert all(_run(tracked, "wandb")["run"] in path.name for path in folder.glob("wandb/offline-run-*/*.wandb"))
    assert any(str(perplexity).encode() in content for content in files)
    assert all(any(text.encode() in content for content in files) for text in _facts(tracked).values())

    with sqlite3.connect(folder / "mlflow/mlflow.db") as database:
        tags = dict(database.execute("select key, value from tags"))
    assert _facts(tracked).items() <= tags.items()

    card = (tracked.run_dir / "README.md").read_text()
    for title in ("Trackio", "TensorBoard", "Weights &amp; Biases", "MLflow"):
        assert re.search(
            rf"^\| Run in {title} \| \S+ of project quotes-lora, trackers/\S+ in the run", card, re.MULTILINE
        )
    assert re.search(
        r"^\| Emissions, estimated \| \S+ g CO₂ equivalent, with the electricity of FRA \|$", card, re.MULTILINE
    )


def test_no_tracker_asks_the_hub_or_keeps_its_token(tracked: World, released: World):
    def questions(world: World) -> list[tuple[str, str]]:
        return sorted((line["method"], line["path"]) for line in world.requests() if "whoami" in line["path"])

    assert questions(tracked) == questions(released)
    assert all(b"hf_canarycanary" not in path.read_bytes() for path in tracked.run_dir.rglob("*") if path.is_file())
    # Nothing was written beside the run.
    assert {path.name for path in tracked.work.iterdir()} == {path.name for path in released.work.iterdir()}


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_tracker_that_is_not_installed_is_found_before_anything_starts(world: World, command: str):
    world.config(train__report_to=["tensorboard", "wandb"])

    result = world.python(WITHOUT_WANDB, command, "--hub", str(world.hub))

    assert result.code == MissingExtraError.exit_code, result.err
    assert "not installed: wandb." in result.out + result.err
    assert "pip install wandb" in result.out + result.err
    assert not (world.work / "runs").exists()


@contextmanager
def _serving(world: World, command: list[str], said: str, **env: str) -> Iterator[str]:
    """Starts a tracker's own server; gives the address that it says, and stops it."""
    server = subprocess.Popen(
        command,
        cwd=world.work,
        env=world.env(PYTHONUNBUFFERED="1", **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines: list[str] = []
        for line in server.stdout:
            lines.append(line)
            if found := re.search(rf"{said}.* (http://127\.0\.0\.1:\d+)", line):
                yield found[1]
                return
        pytest.fail("".join(lines))
    finally:
        server.kill()
        server.wait()


def test_a_server_of_the_user_s_gets_the_run_and_its_token_is_kept(world: World, tmp_path: Path):
    world.config(train__report_to=["trackio"])
    token = "canary-of-the-write-token"
    with socket.create_server(("127.0.0.1", 0)) as free:
        command = [sys.executable, "-c", SHOW_TRACKIO, str(free.getsockname()[1])]
    folder = tmp_path / "server"

    with _serving(
        world, command, "Trackio UI launched at", TRACKIO_DIR=str(folder), TRACKIO_WRITE_TOKEN=token
    ) as address:
        done = world.done(
            *("--json", "run", "--push", TARGET, "--hub", world.hub, "--run-dir", "run"),
            TRACKIO_SERVER_URL=f"{address}/?write_token={token}",
            HF_HUB_DISABLE_TELEMETRY=None,
        )

    run = _run(world, "trackio")
    assert (run["address"], run["failed"]) == (f"{address}/", None)
    with sqlite3.connect(folder / "quotes-lora.db") as database:
        rows = database.execute("select metrics from metrics where run_name = ? order by step", [run["run"]])
        entries = [json.loads(row) for (row,) in rows]
        ((config,),) = database.execute("select config from configs").fetchall()
    assert [entry["train/loss"] for entry in entries if "train/loss" in entry] == [
        pytest.approx(point["loss"], rel=1e-6) for point in world.record("training.json")["losses"]
    ]
    assert any(entry.get("evaluation/held-out/perplexity") == _perplexity(world) for entry in entries)
    assert any(_facts(world).items() <= entry.items() for entry in entries)
    assert json.loads(config)["learning_rate"] == 0.01
    assert f"{address}/" in (world.run_dir / "README.md").read_text()
    assert [line["path"] for line in world.requests() if "telemetry" in line["path"]] == []
    assert token not in done.out + done.err
    assert all(token.encode() not in path.read_bytes() for path in world.root.rglob("*") if path.is_file())


def _pointed_at(page: "Page", chart: str, tip: str) -> str:
    """Points at places of a chart, which may still be drawn again, until one has a tip; returns what it says."""
    for tenth in (*range(2, 10),) * 5:
        place = page.locator(chart).bounding_box()
        page.mouse.move(place["x"] + place["width"] * tenth / 10, place["y"] + place["height"] / 2)
        with suppress(NotInTime):
            page.wait_for_function(f"document.querySelector('{tip}')?.innerText", timeout=1000)
            return page.locator(tip).inner_text()
    pytest.fail("no place of the chart has a tip")


def test_trackio_s_page_shows_the_loss(tracked: World, browser):
    folder = str(tracked.run_dir / "trackers/trackio")
    losses = [point["loss"] for point in tracked.record("training.json")["losses"]]
    with socket.create_server(("127.0.0.1", 0)) as free:
        command = [sys.executable, "-c", SHOW_TRACKIO, str(free.getsockname()[1])]

    with (
        _serving(tracked, command, "Trackio UI launched at", TRACKIO_DIR=folder) as address,
        visit(browser, f"{address}/?project=quotes-lora") as visited,
    ):
        page = visited.page
        page.get_by_placeholder("loss|ndcg").fill("^train/loss$")
        page.locator("input[type=range]").press("Home")
        page.get_by_label("Refresh metrics realtime").uncheck()
        page.wait_for_function("document.querySelectorAll('canvas.marks').length === 1")
        shown = _pointed_at(page, "canvas.marks", "#vg-tooltip-element")

    assert _run(tracked, "trackio")["run"] in shown
    value = float(re.search(r"loss\s+([\d.]+)", shown)[1])
    assert any(value == pytest.approx(loss, abs=1e-6) for loss in losses)
    assert (visited.console, visited.failed) == ([], [])
    assert {request.split("/")[2] for request in visited.requests if "//" in request} == {address.split("/")[2]}


def test_tensorboard_s_page_shows_the_loss(tracked: World, browser):
    folder = str(tracked.run_dir / "trackers/tensorboard")
    losses = [point["loss"] for point in tracked.record("training.json")["losses"]]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--port", "0", "--host", "127.0.0.1"]

    with _serving(tracked, command, "TensorBoard") as address, visit(browser, address) as visited:
        page = visited.page
        page.get_by_role("combobox", name="Filter tags").fill("^train/loss$")
        # The table under the chart has the newest value.
        page.get_by_text(f"{losses[-1]:.5g}", exact=True).first.wait_for()

    assert visited.failed == []
    assert {request.split("/")[2] for request in visited.requests if "//" in request} == {address.split("/")[2]}
