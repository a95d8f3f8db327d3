"""A training in several processes: the losses of one process, each record written once, and nothing left behind."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.worlds import World

TWO = ("--launch", "torchrun --nproc_per_node 2")
# The last step of an epoch has fewer rows: 7 of the usual 8, and 1 of the usual 2, which leaves one process none.
METHODS = {
    "lora": ("train.steps=20", "train.batch_size=4", "train.gradient_accumulation=2", "train.lora.dropout=0"),
    "full": ("train.steps=34", "train.batch_size=1", "train.gradient_accumulation=2", "train.method=full"),
}
SAME = ("train.epochs=null", "train.precision=fp32", "train.logging_steps=1", "train.held_out_steps=5")


def options(*values: str) -> list[str]:
    return [word for value in values for word in ("-s", value)]


@pytest.fixture(scope="module")
def launched(once, seeded):
    """By method, a world where the same config was run in one process (`one`) and in two, and published (`two`)."""

    def of(method: str) -> World:
        def make(folder: Path) -> None:
            world = seeded.copy(folder)
            settings = options(*SAME, *METHODS[method])
            world.done("run", "--run-dir", "one", "--hub", world.hub, *settings)
            world.forget_requests()
            push = ("--push", f"lab/quotes-{method}")
            done = world.done("--json", "run", "--run-dir", "two", *push, "--hub", world.hub, *settings, *TWO)
            (folder / "stdout").write_text(done.out)
            (folder / "stderr").write_text(done.err)

        return World(once(f"launched-{method}", make))

    return of


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_give_the_losses_of_one(launched, method: str):
    one, two = (launched(method).record("training.json", run) for run in ("one", "two"))

    assert [point["step"] for point in two["losses"]] == list(range(1, one["steps"] + 1))
    for curve in ("losses", "held_out_losses"):
        assert [point["loss"] for point in two[curve]] == pytest.approx(
            [point["loss"] for point in one[curve]], abs=1e-5
        ), curve
    for name in ("steps", "epochs", "tokens", "read_tokens", "batch_size", "gradient_accumulation", "warmup_steps"):
        assert two[name] == one[name], name
    assert [point["learning_rate"] for point in two["losses"]] == [point["learning_rate"] for point in one["losses"]]


@pytest.mark.parametrize("method", METHODS)
def test_each_record_is_written_once_and_the_release_is_one_commit(launched, method: str):
    world = launched(method)
    events = [json.loads(line) for line in (world.work / "two" / "events.jsonl").read_text().splitlines()]

    steps = [event["step"] for event in events if event["event"] == "loss"]
    assert steps == list(range(1, len(steps) + 1))
    measured = [event["step"] for event in events if event["event"] == "held_out_loss"]
    assert measured == sorted(set(measured))
    written = json.loads((world.work / "two" / "written.json").read_text())["files"]
    assert len(written["training.json"]) == len(written["data.json"]) == 1
    shown = (world.root / "stderr").read_text()
    assert shown.count("Training …") == shown.count("Training: done") == 1
    paths = [line["path"] for line in world.writes() if line["status"] < 400]
    assert sum("/commit/" in path for path in paths) == sum("/tag/" in path for path in paths) == 1
    assert not (world.work / "two" / ".launch").exists()


def test_the_record_and_the_card_say_how_many_processes_there_were(launched):
    world = launched("lora")

    assert world.record("training.json", "two")["processes"] == {
        "count": 2,
        "backend": "gloo",
        "sharding": None,
        "batch_size": 4,
        "gradient_accumulation": 1,
    }
    card = (world.work / "two" / "README.md").read_text()
    assert "| Processes | 2 (data parallel, gloo) |" in card
    assert world.record("training.json", "one")["processes"] is None
    assert "| Processes |" not in (world.work / "one" / "README.md").read_text()
