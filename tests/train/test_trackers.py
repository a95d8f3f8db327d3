"""Trackers get what events.jsonl gets, stay on the machine by themselves, and never stop a training."""

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune.errors import InterruptedTrainingError, MissingExtraError
from hubtune.pipeline.tracking import add_evaluation, require_trackers
from hubtune.records.results import EvaluationRecord, Measure, TrackerRun
from hubtune.records.rundir import RunDirectory
from hubtune.train.trackers import explain
from tests.listener import Listener
from tests.sample_runs import ENVIRONMENT
from tests.train.conftest import Trained

HELD_OUT = ("Zinc, quartz and onyx.", "No hive here; 1984.")


def _trackio(run: RunDirectory, noted: TrackerRun, name: str) -> list[tuple[float, float]]:
    with sqlite3.connect(run.path / "trackers/trackio" / f"{noted.project}.db") as database:
        rows = database.execute("select metrics from metrics where run_name = ? order by step", [noted.run])
        entries = [json.loads(row) for (row,) in rows]
    return [(entry["train/global_step"], entry[name]) for entry in entries if name in entry]


def _tensorboard(run: RunDirectory, noted: TrackerRun, name: str) -> list[tuple[float, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "trackers/tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def _mlflow(run: RunDirectory, noted: TrackerRun, name: str) -> list[tuple[float, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{run.path}/trackers/mlflow/mlflow.db")
    points = client.get_metric_history(noted.run, name.removeprefix("train/").replace("eval/", "eval_"))
    return [(point.step, point.value) for point in points]


READERS: dict[str, Callable[[RunDirectory, TrackerRun, str], list[tuple[float, float]]]] = {
    "trackio": _trackio,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("TRACKIO_", "WANDB_", "MLFLOW_", "TENSORBOARD_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _noted(trained: Trained) -> TrackerRun:
    (noted,) = trained.record.trackers
    return noted


def _losses(trained: Trained) -> list[tuple[float, float]]:
    return [(point.step, pytest.approx(point.loss, rel=1e-4, abs=1e-4)) for point in trained.record.losses]


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("tracker", READERS)
def test_a_tracker_has_the_losses_of_the_record_and_writes_within_the_run_alone(
    train_on, gpt2: Path, tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_itisnobodysmatter")

    trained = train_on(gpt2, f"train.report_to=[{tracker}]", held_out=HELD_OUT)

    noted = _noted(trained)
    assert READERS[tracker](trained.run, noted, "train/loss") == _losses(trained)
    held_out = [(point.step, pytest.approx(point.loss)) for point in trained.record.held_out_losses]
    assert READERS[tracker](trained.run, noted, "eval/loss") == held_out
    assert (noted.project, noted.failed) == ("tuned", None)
    assert (trained.run.path / noted.address).exists()
    assert all(path.is_relative_to(trained.run.path) for path in _files(tmp_path))
    assert all(b"hf_itisnobodysmatter" not in path.read_bytes() for path in _files(tmp_path))


def test_weights_and_biases_is_offline_unless_the_user_says_otherwise(train_on, gpt2: Path, tmp_path: Path):
    trained = train_on(gpt2, "train.report_to=[wandb]")

    noted = _noted(trained)
    (file,) = (trained.run.path / noted.address).glob("run-*.wandb")
    assert noted.run in file.name
    assert [p.loss for p in trained.record.losses if str(p.loss).encode() not in file.read_bytes()] == []
    assert all(path.is_relative_to(trained.run.path) for path in _files(tmp_path))


@pytest.mark.parametrize("tracker", [*READERS, "wandb"])
def test_two_trainings_of_one_process_have_a_run_and_a_place_each(train_on, gpt2: Path, tracker: str):
    runs = [train_on(gpt2, f"train.report_to=[{tracker}]", f"train.project=number-{number}") for number in (1, 2)]

    assert [_noted(each).failed for each in runs] == [None, None]
    assert [_noted(each).project for each in runs] == ["number-1", "number-2"]
    assert all((each.run.path / _noted(each).address).exists() for each in runs)
    assert _noted(runs[0]).run != _noted(runs[1]).run


@pytest.mark.parametrize("tracker", READERS)
def test_a_resumed_training_continues_the_tracker_s_run(
    train_on, gpt2: Path, tracker: str, capfd: pytest.CaptureFixture[str]
):
    options = (f"train.report_to=[{tracker}]", "train.checkpoint_steps=2", "train.logging_steps=1", "train.epochs=3")
    stop = Listener(lambda note: _stop_at(stop, 4))

    run = None
    with pytest.raises(InterruptedTrainingError) as stopped:
        run = train_on(gpt2, *options, listener=stop).run
    assert run is None
    run = RunDirectory.open(Path(stopped.value.hint.split()[-2]))
    trained = train_on(gpt2, run=run, resume=True)

    found = READERS[tracker](trained.run, _noted(trained), "train/loss")
    assert dict(found) == dict(_losses(trained))
    assert [step for step, _ in found] == sorted(step for step, _ in found)
    assert "ERROR" not in capfd.readouterr().err


def test_steps_that_are_done_again_replace_those_after_the_checkpoint(train_on, gpt2: Path):
    options = ("train.report_to=[tensorboard]", "train.checkpoint_steps=4", "train.logging_steps=1", "train.epochs=3")
    whole = train_on(gpt2, *options)

    again = train_on(gpt2, run=whole.run, resume=True)

    assert "Resuming after step 4 of 6" in again.listener.said
    assert _tensorboard(again.run, _noted(again), "train/loss") == _losses(again)


def _stop_at(listener: Listener, step: int) -> None:
    if listener.steps["Training"][0] == step:
        os.kill(os.getpid(), 2)


@pytest.mark.parametrize("tracker", [*READERS, "wandb"])
def test_a_tracker_that_fails_is_a_warning_and_the_training_goes_on(train_on, new_run, gpt2: Path, tracker: str):
    run = new_run("train.epochs=3", f"train.report_to=[{tracker}]")
    (run.path / "trackers").write_text("in the way of every tracker's folder")

    trained = train_on(gpt2, run=run)

    assert _noted(trained).failed is not None
    assert len(trained.record.losses) > 1
    (warning,) = [line for line in trained.listener.warned if "failed" in line]
    assert _noted(trained).failed in warning
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert [event["tracker"] for event in events if event["stage"] == "tracker"] == [tracker]
    assert [event["step"] for event in events if event.get("event") == "loss"] == [
        point.step for point in trained.record.losses
    ]


def test_a_tracker_that_fails_half_way_keeps_its_address(train_on, gpt2: Path, monkeypatch: pytest.MonkeyPatch):
    from transformers.integrations import TensorBoardCallback

    said = TensorBoardCallback.on_log

    def refuse(self, args, state, control, **kwargs):
        if state.global_step > 2:
            raise OSError("https://ann:secret@example.org/?api_key=hidden has no room")
        said(self, args, state, control, **kwargs)

    monkeypatch.setattr(TensorBoardCallback, "on_log", refuse)

    noted = _noted(train_on(gpt2, "train.report_to=[tensorboard]", "train.logging_steps=1"))

    assert noted.address == "trackers/tensorboard"
    assert noted.failed == "OSError: https://example.org/? has no room"


@pytest.mark.parametrize("tracker", READERS)
def test_what_was_measured_is_added_to_the_same_run(train_on, gpt2: Path, tracker: str):
    trained = train_on(gpt2, f"train.report_to=[{tracker}]")
    trained.run.write(trained.record)
    measured = Measure(
        name="perplexity", split="held-out", n=17, base=9.5, tuned=4.25, interval=None, status="measured"
    )
    record = EvaluationRecord(
        upstream={},
        measures=[measured],
        precision="fp32",
        batch_size=4,
        max_items=None,
        seed=42,
        environment=ENVIRONMENT,
    )

    add_evaluation(trained.run, record, Listener())

    steps = trained.record.steps
    found = READERS[tracker](trained.run, _noted(trained), "evaluation/held-out/perplexity")
    assert found == [(steps, 4.25)]
    found = READERS[tracker](trained.run, _noted(trained), "evaluation/held-out/perplexity of the base model")
    assert found == [(steps, 9.5)]


def test_a_tracker_that_is_not_installed_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # As wandb's own folder in the working folder looks to whoever asks for the package.
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(__import__("sys").modules, "wandb", raising=False)

    with pytest.raises(MissingExtraError, match="not installed: wandb") as refused:
        require_trackers(["wandb"])

    assert "pip install wandb" in refused.value.hint


def test_an_error_s_text_has_no_credentials():
    assert explain(ValueError("no answer from\n http://me:pass@host/x?write_token=abc&a=1")) == (
        "ValueError: no answer from http://host/x?&a=1"
    )


UNREACHABLE = {
    "trackio": {"TRACKIO_SERVER_URL": "http://127.0.0.1:9/?write_token=canary"},
    "mlflow": {"MLFLOW_TRACKING_URI": "http://ann:canary@127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
    "wandb": {"WANDB_API_KEY": "canary" * 8, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "1"},
}


@pytest.mark.parametrize("tracker", UNREACHABLE)
def test_a_server_that_does_not_answer_is_a_warning_without_its_credentials(
    train_on, gpt2: Path, tracker: str, monkeypatch: pytest.MonkeyPatch
):
    for name, value in UNREACHABLE[tracker].items():
        monkeypatch.setenv(name, value)

    trained = train_on(gpt2, f"train.report_to=[{tracker}]")

    assert _noted(trained).failed is not None
    assert [line for line in trained.listener.warned if _noted(trained).failed in line]
    told = trained.record.to_json() + "".join(trained.listener.warned + trained.listener.said)
    assert "127.0.0.1:9" in told
    assert "canary" not in told + (trained.run.path / "events.jsonl").read_text()
    assert len(trained.record.losses) > 1


def test_folders_that_the_user_names_are_used_and_are_not_told(
    train_on, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "boards"))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "tracks"))

    trained = train_on(gpt2, "train.report_to=[tensorboard,trackio]", "train.project=mine")

    board, track = trained.record.trackers
    assert list((tmp_path / "boards" / board.run).glob("events.*"))
    assert (tmp_path / "tracks/mine.db").exists()
    assert (board.address, track.address, board.project) == (None, None, "mine")
    assert not (trained.run.path / "trackers").exists()
