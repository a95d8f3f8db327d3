"""hubtune.lock holds what a team uses, until somebody moves it on purpose."""

import json

import pytest

from hubtune.errors import LockError, RecordError


def lock(world):
    return json.loads((world.work / "hubtune.lock").read_text())


@pytest.fixture
def moved(world):
    """A world that was pinned before the dataset's main branch moved on, and that branch's new commit."""
    world.done("pin", "--hub", world.hub)
    with world.served() as api:
        head = world.extend_data(api)
    world.forget_requests()
    assert lock(world)["data"][0]["commit"] != head
    return world, head


def test_pin_writes_the_commit_that_each_revision_means(world):
    world.done("pin", "--hub", world.hub)
    with world.served() as api:
        base, data = api.model_info("lab/gpt2"), api.dataset_info("lab/quotes")
    assert lock(world) == {
        "base": {
            "repo": "lab/gpt2",
            "type": "model",
            "requested": "main",
            "commit": base.sha,
            "license": "apache-2.0",
            "gated": False,
        },
        "data": [
            {
                "repo": "lab/quotes",
                "type": "dataset",
                "requested": "main",
                "commit": data.sha,
                "license": "cc0-1.0",
                "gated": False,
            }
        ],
    }


def test_a_run_uses_the_locked_commit_after_main_moved_on(rehearsed):
    locked = lock(rehearsed)
    head = (rehearsed.hub / "repos/datasets/lab/quotes.git/refs/heads/main").read_text().strip()
    assert head != locked["data"][0]["commit"]
    assert rehearsed.record("pins.json", "run2") == locked
    assert rehearsed.record("data.json", "run2")["sources"][0]["rows"] == 80


def test_pin_keeps_what_the_lock_holds_and_upgrade_moves_it(moved):
    world, head = moved
    before = (world.work / "hubtune.lock").read_bytes()
    world.done("pin", "--hub", world.hub)
    assert (world.work / "hubtune.lock").read_bytes() == before
    world.done("pin", "--upgrade", "--hub", world.hub)
    assert lock(world)["data"][0]["commit"] == head
    assert lock(world)["base"] == json.loads(before)["base"]


def test_check_names_the_locked_commit(moved):
    world, head = moved
    shown = world.done("check", "--locked", "--hub", world.hub).out
    assert lock(world)["data"][0]["commit"] in shown
    assert head not in shown


def test_only_changed_entries_are_pinned_again_and_it_is_said(moved):
    world, _ = moved
    before = lock(world)
    world.config(base__repo="lab/llama")
    shown = world.done("pin", "--hub", world.hub)
    assert lock(world)["base"]["repo"] == "lab/llama"
    assert lock(world)["data"] == before["data"]
    assert f"lab/llama at main is not in hubtune.lock: pinned to {lock(world)['base']['commit']}" in shown.err


def test_locked_refuses_without_a_lock(world):
    shown = world.hubtune("run", "--locked", "--hub", world.hub)
    shown.refused(LockError, "hubtune.lock", "hubtune pin")
    assert not (world.work / "runs").exists()


def test_locked_refuses_a_config_that_the_lock_does_not_match(moved):
    world, _ = moved
    before = (world.work / "hubtune.lock").read_bytes()
    world.config(base__repo="lab/llama")
    shown = world.hubtune("run", "--locked", "--hub", world.hub)
    shown.refused(LockError, "lab/llama at main: not in the lock", "lab/gpt2 at main: in the lock", "hubtune pin")
    assert (world.work / "hubtune.lock").read_bytes() == before
    assert not (world.work / "runs").exists()


def test_a_lock_that_is_no_lock_is_refused(world):
    (world.work / "hubtune.lock").write_text('{"base": "lab/gpt2"}')
    shown = world.hubtune("run", "--hub", world.hub)
    shown.refused(RecordError, "hubtune.lock", "hubtune pin")
