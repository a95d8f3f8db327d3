"""One stage of a run alone: it repeats to the same result, and refuses records that do not belong together."""

import re
import shutil

import pytest
import yaml

from hubtune.errors import ConfigError, RecordError
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import RunDirectory
from tests.end_to_end.worlds import digests, untimed


def edit_config(world, section, key, value):
    """Changes one field of the run's own config.yaml, as a person would."""
    path = world.run_dir / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config[section][key] = value
    path.write_text(yaml.safe_dump(config))


def test_training_again_gives_the_same_adapter_and_evaluating_again_the_same_numbers(finished):
    training, evaluation = finished.record("training.json"), finished.record("evaluation.json")
    shown = finished.on_a_terminal("--json", "train", "run")
    assert shown.code == 0, shown.err
    assert re.search(r"Training .*━.* 32/32 .*loss \d+\.\d+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.err))
    assert shown.document == finished.record("training.json")
    assert shown.document["files"] == training["files"]
    assert digests(finished.run_dir / "adapter") == training["files"]
    assert (shown.document["first_loss"], shown.document["final_loss"]) == (
        training["first_loss"],
        training["final_loss"],
    )
    again = finished.done("--json", "evaluate", "run")
    assert untimed(again.document) == untimed(evaluation)
    assert again.document == finished.record("evaluation.json")
    finished.done("card", "render", "run")


def test_a_training_goes_on_from_its_newest_checkpoint_and_where_it_has_ended_is_left_as_it_is(finished):
    edit_config(finished, "train", "checkpoint_steps", 10)
    whole = finished.done("--json", "train", "run").document
    assert {path.name for path in (finished.run_dir / "checkpoints").iterdir()} == {"checkpoint-20", "checkpoint-30"}
    # As a run is left that was killed near its end.
    shutil.rmtree(finished.run_dir / "adapter")
    (finished.run_dir / "training.json").unlink()

    shown = finished.done("--json", "train", "run", "--resume")
    assert "Resuming after step 30 of 32" in shown.err
    assert (shown.document["files"], shown.document["losses"]) == (whole["files"], whole["losses"])

    ended = finished.done("--json", "train", "run", "--resume")
    assert "nothing to resume" in ended.err
    assert ended.document == shown.document


def test_a_text_on_the_card_can_be_mended_without_training_again(finished):
    adapter = digests(finished.run_dir / "adapter")
    edit_config(finished, "card", "misuse", "Not for signing letters.")
    finished.done("card", "render", "run")
    card = (finished.run_dir / "README.md").read_text()
    assert "> Not for signing letters." in card
    release = finished.done("--json", "publish", "run", "--tag", "v1.0.1", "--hub", finished.hub).document
    assert release["files"]["README.md"] == digests(finished.run_dir)["README.md"]
    assert digests(finished.run_dir / "adapter") == adapter


@pytest.mark.parametrize(
    "command",
    [("evaluate", "run"), pytest.param(("card", "render", "run"), marks=pytest.mark.full_trial), ("publish", "run")],
    ids=" ".join,
)
def test_records_of_another_training_config_are_refused_with_the_command_that_makes_them_anew(finished, command):
    before, card = finished.stored(), (finished.run_dir / "README.md").read_text()
    edit_config(finished, "train", "epochs", 9)
    hub = ["--hub", finished.hub] if command[0] == "publish" else []
    finished.hubtune(*command, *hub).refused(RecordError, "config", "hubtune train", str(finished.run_dir))
    assert (finished.run_dir / "README.md").read_text() == card
    assert finished.stored() == before
    assert finished.writes() == []


@pytest.mark.parametrize(
    "command", [pytest.param(("card", "render", "run"), marks=pytest.mark.full_trial), ("publish", "run")], ids=" ".join
)
def test_measures_of_another_training_are_refused(finished, command):
    run = RunDirectory.open(finished.run_dir)
    run.write(run.read(TrainingRecord).model_copy(update={"final_loss": 0.1}))
    hub = ["--hub", finished.hub] if command[0] == "publish" else []
    shown = finished.hubtune(*command, *hub)
    shown.refused(RecordError, "evaluation.json", "training.json", "hubtune evaluate")
    assert finished.writes() == []


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", pytest.param("adapter_config.json", marks=pytest.mark.full_trial)]
)
def test_an_adapter_that_changed_after_the_training_is_not_published(finished, name):
    before = finished.stored()
    with (finished.run_dir / "adapter" / name).open("ab") as file:
        file.write(b" ")
    shown = finished.hubtune("publish", "run", "--tag", "v2.0.0", "--hub", finished.hub)
    shown.refused(RecordError, name, "changed after the training", "hubtune train")
    assert finished.stored() == before
    assert finished.writes() == []


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("training.json", ("evaluate", "run")),
        ("training.json", ("card", "render", "run")),
        ("evaluation.json", ("card", "render", "run")),
        ("pins.json", ("card", "render", "run")),
    ],
)
def test_a_missing_record_is_named_with_the_command_that_makes_it(finished, missing, command):
    (finished.run_dir / missing).unlink()
    shown = finished.hubtune(*command)
    shown.refused(RecordError, missing if missing != "pins.json" else "pins.json", "hubtune ")


def test_a_missing_adapter_is_told_by_publish_without_a_traceback(finished):
    (finished.run_dir / "adapter/adapter_model.safetensors").unlink()
    shown = finished.hubtune("publish", "run", "--tag", "v2.0.0", "--hub", finished.hub)
    shown.refused(RecordError, "adapter_model.safetensors", "hubtune train")
    assert finished.writes() == []


def test_a_snapshot_that_left_the_cache_is_told_with_what_fetches_it(finished):
    shown = finished.hubtune("publish", "run", "--hub", finished.hub, HF_HOME=str(finished.root / "empty"))
    shown.refused(RecordError, "lab/gpt2", finished.record("pins.json")["base"]["commit"], "hubtune pin")
    assert finished.writes() == []


def test_a_placeholder_in_the_runs_config_is_refused_by_card_render(finished):
    card = (finished.run_dir / "README.md").read_text()
    edit_config(finished, "card", "intended_use", "TODO")
    shown = finished.hubtune("card", "render", "run")
    assert shown.code != 0
    assert "card.intended_use" in shown.err
    assert "Traceback" not in shown.err
    assert (finished.run_dir / "README.md").read_text() == card


def test_a_misspelt_key_in_the_runs_config_is_refused(finished):
    edit_config(finished, "card", "intended_yuse", "Tests.")
    finished.hubtune("card", "render", "run").refused(ConfigError, "card.intended_yuse", "intended_use")


def test_a_run_directory_that_holds_something_is_not_written_into(finished):
    before = digests(finished.run_dir)
    shown = finished.hubtune("run", "--hub", finished.hub, "--run-dir", "run")
    shown.refused(RecordError, str(finished.run_dir), "--resume")
    assert digests(finished.run_dir) == before
