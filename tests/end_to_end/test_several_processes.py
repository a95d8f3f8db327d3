"""A training in several processes: the losses of one process, each record written once, and nothing left behind."""

import json
import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from hubtune.errors import ConfigError, LaunchError
from tests.end_to_end.test_interruption import wait_for_end
from tests.end_to_end.worlds import World, untimed

TWO = ("--launch", "torchrun --nproc_per_node 2")
# The last step of an epoch has fewer rows: 7 of the usual 8, and 1 of the usual 2, which leaves one process none.
MANY = ("train.steps=150", "train.batch_size=8", "train.checkpoint_steps=1000")
METHODS = {
    "lora": ("train.steps=20", "train.batch_size=4", "train.gradient_accumulation=2", "train.lora.dropout=0"),
    "full": ("train.steps=34", "train.batch_size=1", "train.gradient_accumulation=2", "train.method=full"),
}
SAME = ("train.epochs=null", "train.precision=fp32", "train.logging_steps=1", "train.held_out_steps=5")


def options(*values: str) -> list[str]:
    return [word for value in values for word in ("-s", value)]


def stop_at_training(world: World, act, *arguments: str) -> tuple[int, str]:
    """Starts a command, lets `act` end it once it trains; returns its exit code and what it said on stderr."""
    with world.start(*arguments, "--hub", world.hub) as process:
        shown = []
        for said in process.stderr:
            shown.append(said)
            if said.startswith("Training …"):
                trained_by = [
                    json.loads(path.read_text())["pid"]
                    for path in sorted((world.work / "run/.launch").glob("*.started"))
                ]
                act(process, trained_by)
                break
        shown += process.stderr
        code = process.wait()
    for pid in trained_by:
        wait_for_end(pid)
    assert len(trained_by) == 2
    return code, "".join(shown)


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


def test_two_processes_measure_what_one_does_bit_for_bit(launched, tmp_path):
    world = launched("lora").copy(tmp_path / "world")
    for run in ("one", "two"):
        config = world.work / run / "config.yaml"
        config.write_text(config.read_text().replace("- perplexity", "- perplexity\n  - bits_per_byte\n  - rouge"))
    shutil.copytree(world.work / "one", world.work / "again")
    alone = world.done("--json", "evaluate", "one").document
    shown = world.done("--json", "evaluate", "again", *TWO)

    assert untimed(shown.document) == untimed(alone)
    assert world.record("evaluation.json", "again") == shown.document
    assert shown.err.count("Held-out rows, tuned …") == 1
    assert world.record("probe.json", "again")["prompts"] == world.record("probe.json", "one")["prompts"]
    events = [json.loads(line) for line in (world.work / "again" / "events.jsonl").read_text().splitlines()]
    measured = [event["name"] for event in events if event["event"] == "measure"]
    assert len(measured) == len(set(measured)) + 1, "perplexity was measured when the run was made"


@pytest.fixture(scope="module")
def interrupted(once, seeded):
    """A run in two processes: stopped, resumed, one process killed, resumed, the command killed, resumed to the end."""

    def make(folder: Path) -> None:
        world = seeded.copy(folder)
        run = ("run", "--run-dir", "run", *options(*SAME, *MANY), *TWO)
        world.done("run", "--run-dir", "whole", "--hub", world.hub, *options(*SAME, *MANY), *TWO)
        said = [
            stop_at_training(world, lambda process, _: process.send_signal(signal.SIGTERM), *run),
            stop_at_training(world, lambda _, pids: os.kill(pids[1], signal.SIGKILL), *run, "--resume"),
            stop_at_training(world, lambda process, _: process.kill(), *run, "--resume"),
        ]
        (folder / "said.json").write_text(json.dumps(said))
        world.done(*run, "--resume", "--hub", world.hub)

    return World(once("interrupted-processes", make))


def test_a_stop_has_all_processes_save_one_checkpoint(interrupted):
    (code, said), *_ = json.loads((interrupted.root / "said.json").read_text())

    assert code == 128 + signal.SIGTERM, said
    assert "Training was stopped after step" in said
    assert "--resume --launch 'torchrun --nproc_per_node 2'" in said
    assert "Traceback" not in said


def test_a_process_that_is_killed_ends_the_run_with_one_clear_message(interrupted):
    _, (code, said), _ = json.loads((interrupted.root / "said.json").read_text())

    assert code == LaunchError.exit_code, said
    assert "Error: `hubtune train` lost process 1 (pid" in said
    assert "What to do: Resume from the newest checkpoint" in said
    assert "Training: done" not in said


def test_processes_end_when_the_command_is_killed(interrupted):
    *_, (code, said) = json.loads((interrupted.root / "said.json").read_text())

    assert code == -signal.SIGKILL, said


def test_a_run_that_was_stopped_so_often_ends_with_the_numbers_of_one_that_was_not(interrupted):
    run, whole = (interrupted.record("training.json", name) for name in ("run", "whole"))

    for name in ("losses", "held_out_losses", "files", "steps", "tokens"):
        assert run[name] == whole[name], name


def test_a_launcher_that_cannot_be_used_is_named_before_anything_begins(world):
    for command, word in (
        ("nosuchlauncher -n 2", "The launcher nosuchlauncher is not installed"),
        ("'", "is not a command line"),
        (" ", "no command"),
    ):
        world.hubtune("run", "--hub", world.hub, "--launch", command).refused(ConfigError, word)
    assert not (world.work / "runs").exists()


def test_what_splits_the_memory_needs_a_launcher_and_a_config_that_fits(world):
    (world.work / "zero.json").write_text('{"zero_optimization": {"stage": 3}, "train_batch_size": 99}')
    run = ("run", "--hub", world.hub)

    world.hubtune(*run, "-s", "train.fsdp=true").refused(ConfigError, "train.fsdp splits the memory", "--launch")
    world.hubtune(*run, "-s", "train.deepspeed=zero.json", *TWO).refused(
        ConfigError, "zero.json contradicts the config", "train_batch_size: 99 there, 8 by the config"
    )
    world.hubtune(*run, *options("train.deepspeed=zero.json", "train.method=qlora"), *TWO).refused(
        ConfigError, "train.method is qlora, and DeepSpeed ZeRO 3"
    )
    assert not (world.work / "runs").exists()


def test_a_command_in_each_process_of_a_launcher_is_refused(world):
    world.hubtune("run", "--hub", world.hub, WORLD_SIZE="2", RANK="1").refused(
        ConfigError, "A launcher started this command"
    )


@pytest.fixture
def few(launched, seeded, tmp_path):
    """A world whose data has two rows, one of which is held out."""
    world = seeded.copy(tmp_path / "few")
    (world.work / "two.jsonl").write_text('{"author": "a", "quote": "One."}\n{"author": "b", "quote": "Two."}\n')
    world.config(data__repo=None, data__path="two.jsonl", evaluate__holdout=0.5)
    return world


def test_what_a_process_refuses_is_said_once_by_the_command(few):
    few.hubtune("run", "--hub", few.hub, *TWO).refused(ConfigError, "started 2 processes, and there is 1 training row")


def test_a_launcher_that_starts_one_process_for_two_is_noticed(few):
    launch = ("--launch", "accelerate launch --cpu --num_processes 2")
    few.hubtune("run", "--hub", few.hub, *launch).refused(ConfigError, "asked for 2 processes, and started one")


@pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_deepspeed_gives_the_losses_of_one_process(launched, tmp_path, stage: int, method: str):
    world = launched(method).copy(tmp_path / "world")
    (world.work / "zero.json").write_text(json.dumps({"zero_optimization": {"stage": stage}}))
    settings = options(*SAME, *METHODS[method], "train.deepspeed=zero.json")

    world.done("run", "--run-dir", "split", "--hub", world.hub, *settings, *TWO, DS_ACCELERATOR="cpu")

    one, split = (world.record("training.json", run) for run in ("one", "split"))
    assert split["processes"]["sharding"] == f"DeepSpeed ZeRO {stage}"
    for curve in ("losses", "held_out_losses"):
        losses = [point["loss"] for point in split[curve]]
        assert losses == pytest.approx([point["loss"] for point in one[curve]], abs=1e-5), curve
