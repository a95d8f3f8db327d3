"""A sweep: trials that survive a kill, failures that are recorded, and a winner whose config gives the same numbers."""

import json
import signal

import pytest
import yaml

from hubtune.errors import ConfigError, FileError, SweepError
from tests.end_to_end.worlds import World

GRID = {"train.learning_rate": [1.0e-3, 1.0e-2], "train.batch_size": [4, 8, 16]}


def write(world, parameters, **settings):
    """Writes sweep.yaml, a grid unless it is said otherwise, and a config that trains for one epoch."""
    world.config(train__epochs=1)
    sweep = {"sampler": "grid", "parameters": parameters, **settings}
    (world.work / "sweep.yaml").write_text(yaml.safe_dump({"sweep": sweep}))


def trials_of(document, state):
    return [trial for trial in document["trials"] if trial["state"] == state]


@pytest.fixture(scope="module")
def swept(once, seeded):
    """A world after a sweep of four trials, one of which cannot be; for reading only."""

    def make(folder):
        world = seeded.copy(folder)
        world.forget_requests()
        write(world, {"train.learning_rate": [1.0e-2, 1.0e-3, 5.0], "train.lora.r": [4]})
        done = world.done("--json", "sweep", "--hub", world.hub)
        (folder / "done.json").write_text(json.dumps([done.document, done.err]))

    return World(once("swept", make))


@pytest.fixture(scope="module")
def killed_sweep(once, seeded):
    """A world whose sweep of six trials was killed while its third trained, and then started again."""

    def make(folder):
        world = seeded.copy(folder)
        write(world, GRID)
        with world.start("sweep", "--hub", world.hub) as process:
            third = False
            for said in process.stderr:
                third = third or said.startswith("Trial 2:")
                if third and said.startswith("Training"):
                    process.send_signal(signal.SIGKILL)
                    break
            process.stdout.read()
        assert process.returncode == -signal.SIGKILL
        left = world.done("--json", "sweep", "--report").document
        done = world.done("--json", "sweep", "--hub", world.hub).document
        (folder / "done.json").write_text(json.dumps([left, done]))

    return World(once("killed-sweep", make))


def test_a_sweep_that_was_killed_half_way_completes_each_trial_once(killed_sweep):
    left, done = json.loads((killed_sweep.root / "done.json").read_text())
    assert [trial["state"] for trial in left["trials"]] == [*["complete"] * 2, "running", *["waiting"] * 3]
    complete = trials_of(done, "complete")
    assert len({json.dumps(trial["values"]) for trial in complete}) == len(complete) == 6
    (cut,) = trials_of(done, "cut off")
    (again,) = [trial for trial in complete if trial["number"] == cut["again"]]
    assert again["values"] == cut["values"]
    assert len(done["trials"]) == 7
    # What was complete before is as it was.
    assert [{**trial, "rank": None} for trial in left["trials"][:2]] == [
        {**trial, "rank": None} for trial in done["trials"][:2]
    ]


def test_a_sweep_that_ctrl_c_stopped_continues_its_trial_to_the_same_loss(seeded, tmp_path, swept, killed_sweep):
    world = seeded.copy(tmp_path / "world")
    write(world, {"train.learning_rate": [1.0e-2], "train.lora.r": [4]})
    with world.start("sweep", "--hub", world.hub) as process:
        for said in process.stderr:
            if said.startswith("Training …"):
                process.send_signal(signal.SIGINT)
                break
        shown = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in shown
    document = world.done("--json", "sweep", "--hub", world.hub).document
    assert [trial["state"] for trial in document["trials"]] == ["cut off", "complete"]
    assert document["trials"][1]["folder"] == "trial-000"
    alone, _ = json.loads((swept.root / "done.json").read_text())
    assert document["trials"][1]["value"] == alone["trials"][0]["value"]


def test_two_workers_share_the_trials_of_a_sweep(seeded, tmp_path, killed_sweep):
    world = seeded.copy(tmp_path / "world")
    write(world, GRID)
    with world.served() as api:
        processes = [world.start("--json", "sweep", HF_ENDPOINT=api.endpoint) for _ in range(2)]
        shown = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], shown
    one, other = (json.loads(out) for out, _ in shown)
    assert one == other
    assert len(trials_of(one, "complete")) == len(one["trials"]) == 6
    # Each worker says which trials it ran.
    ran = [
        [line for line in err.splitlines() if line.startswith("Trial ") and "held_out_loss" in line] for _, err in shown
    ]
    assert sum(map(len, ran)) == 6
    losses = {json.dumps(trial["values"]): trial["value"] for trial in one["trials"]}
    _, alone = json.loads((killed_sweep.root / "done.json").read_text())
    assert losses == {json.dumps(trial["values"]): trial["value"] for trial in trials_of(alone, "complete")}


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(swept):
    document, shown = json.loads((swept.root / "done.json").read_text())
    (failed,) = trials_of(document, "failed")
    assert failed["values"]["train.learning_rate"] == 5.0
    assert "train.learning_rate" in failed["detail"]
    assert "Trial 2 failed" in shown
    assert [trial["rank"] for trial in document["trials"]] == [1, 2, None]
    assert document["best"] == 0


def test_inputs_are_pinned_fetched_and_encoded_once(swept):
    _, shown = json.loads((swept.root / "done.json").read_text())
    assert shown.count("Reading lab/quotes …") == 1
    assert shown.count("its 80 rows are already encoded") == 1
    paths = [line["path"] for line in swept.requests() if line["method"] == "GET"]
    # The head of the weights is read before they are fetched.
    for file, times in {"model.safetensors": 2, "train.jsonl": 1}.items():
        assert sum(path.endswith(file) and "/resolve/" in path for path in paths) == times, file


def test_the_best_config_runs_as_written_and_gives_the_trial_s_loss_to_the_bit(swept, tmp_path):
    world = swept.copy(tmp_path / "world")
    document = world.done("--json", "sweep", "--best", "best.yaml").document
    best = document["trials"][document["best"]]
    world.done("--quiet", "run", "best.yaml", "--hub", world.hub, "--run-dir", "run")
    assert world.record("training.json")["held_out_losses"][-1]["loss"] == best["value"]
    assert world.record("training.json")["learning_rate"] == best["values"]["train.learning_rate"]
    card = (world.run_dir / "README.md").read_text()
    assert "A sweep of 2 completed trials chose some of these settings" in card
    assert "These results are optimistic: a sweep compared 2 trials on the held-out rows" in card


def test_a_sweep_can_choose_by_validation_rows_so_that_the_evaluation_is_on_others(seeded, tmp_path):
    world = seeded.copy(tmp_path / "world")
    write(world, {"train.learning_rate": [1.0e-2]})
    world.config(train__epochs=1, evaluate__validation=0.25)
    world.done("sweep", "--hub", world.hub)
    document = world.done("--json", "sweep", "--best", "best.yaml").document
    world.done("--quiet", "run", "best.yaml", "--hub", world.hub, "--run-dir", "run")
    data = world.record("data.json")
    assert min(data[part]["rows"] for part in ("train", "held_out", "validation")) > 5
    assert world.record("training.json")["held_out_losses"][-1]["loss"] == document["trials"][0]["value"]
    (measure,) = world.record("evaluation.json")["measures"]
    assert measure["n"] == data["held_out"]["rows"]
    card = (world.run_dir / "README.md").read_text()
    assert "The metric was measured on the validation rows, which are not part of the evaluation." in card
    assert "optimistic" not in card


def test_a_report_has_a_table_and_pictures(swept, tmp_path):
    world = swept.copy(tmp_path / "world")
    shown = world.done("sweep", "--report").out
    assert shown.splitlines()[0].split() == [
        "rank",
        "trial",
        "held_out_loss",
        "train.learning_rate",
        "train.lora.r",
        "state",
    ]
    assert "2 complete, 1 failed" in shown
    pictures = sorted(path.name for path in (world.work / "sweep-report").iterdir())
    assert pictures == ["history.png", "importance.png", "parallel-coordinates.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (world.work / "sweep-report").iterdir())


def test_the_trials_keep_their_records_and_not_their_weights(swept):
    document, _ = json.loads((swept.root / "done.json").read_text())
    folder = next((swept.work / "sweep-trials").iterdir())
    for trial in trials_of(document, "complete"):
        held = {path.name for path in (folder / trial["folder"]).iterdir()}
        assert {"config.yaml", "pins.json", "data.json", "training.json", "events.jsonl"} <= held
        assert not {"adapter", "checkpoints"} & held


def test_bad_uses_of_a_sweep_are_one_error_each(swept, tmp_path):
    world = swept.copy(tmp_path / "world")
    world.hubtune("sweep", "--report", "--storage", "other.db").refused(SweepError, "other.db", "no sweep")
    world.hubtune("sweep", "--best", "hubtune.yaml").refused(FileError, "hubtune.yaml exists already")
    world.hubtune("sweep", "no.yaml").refused(ConfigError, "no sweep file no.yaml")
    write(world, {"train.learning_rate": [1.0e-2]})
    world.hubtune("sweep", "--hub", world.hub).refused(SweepError, "another sweep", "sweep.parameters")
    write(world, {"train.learning_rat": [1.0e-2]})
    world.hubtune("sweep", "--hub", world.hub).refused(ConfigError, "train.learning_rat", "did you mean")


def test_a_measure_that_the_evaluation_lacks_stops_the_sweep_at_its_first_trial(seeded, tmp_path):
    world = seeded.copy(tmp_path / "world")
    write(world, {"train.lora.r": [2, 4]}, metric="counterfactual_gap_of_tides")
    world.config(train__epochs=1, evaluate__metrics=["counterfactual_gap"])
    shown = world.hubtune("sweep", "--hub", world.hub)
    shown.refused(SweepError, "counterfactual_gap_of_tides", "held_out_loss, counterfactual_gap_")


def test_trials_can_be_ranked_by_a_measure_and_stopped_early(seeded, tmp_path):
    world = seeded.copy(tmp_path / "world")
    write(world, {"train.lora.r": [2, 4]}, metric="perplexity")
    document = world.done("--json", "sweep", "--hub", world.hub).document
    assert all(trial["value"] > 1 for trial in trials_of(document, "complete"))
    # Optuna's median pruner lets five trials go to their end first.
    write(world, {"train.learning_rate": [1e-2, 1.1e-2, 1.2e-2, 1.3e-2, 1.4e-2, 1e-6]}, pruning="median", seed=1)
    document = world.done("--json", "sweep", "--storage", "pruned.db", "--hub", world.hub).document
    (pruned,) = trials_of(document, "pruned")
    assert pruned["values"]["train.learning_rate"] == 1e-6
    assert "above the median" in pruned["detail"]
