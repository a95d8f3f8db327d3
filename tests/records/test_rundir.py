"""A run directory refuses records that do not belong together, and names the stage that mends it."""

import errno
import json
import os
from pathlib import Path

import pytest

from hubtune.errors import DiskFullError, RecordError
from hubtune.records.base import PinSet
from hubtune.records.data import DataRecord
from hubtune.records.release import ReleaseRecord
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from tests.sample_runs import finished_run, sample_config, sample_pins


def test_a_new_run_holds_its_config_with_all_defaults(tmp_path: Path):
    run = RunDirectory.create(sample_config(), parent=tmp_path / "runs")

    assert run.path.parent == tmp_path / "runs"
    assert {path.name for path in run.path.iterdir()} == {"config.yaml", "written.json"}
    assert run.config() == sample_config()
    assert "holdout" in run.config_file.read_text()


def test_the_config_is_parsed_once_and_again_after_it_changed(tmp_path: Path):
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")
    before = run.config()

    assert run.config() is before
    run.config_file.write_text(run.config_file.read_text().replace("seed: 42", "seed: 43"))
    assert run.config().evaluate.seed == 43
    assert before.evaluate.seed == 42


def test_two_new_runs_have_folders_of_their_own(tmp_path: Path):
    assert len({RunDirectory.create(sample_config(), parent=tmp_path).path for _ in range(5)}) == 5


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(RecordError, match="is not empty") as caught:
        RunDirectory.create(sample_config(), path=tmp_path)

    assert "--resume" in str(caught.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_becomes_the_run(tmp_path: Path):
    assert RunDirectory.create(sample_config(), path=tmp_path).path == tmp_path


def test_a_run_stays_where_it_is_when_the_current_folder_changes(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunDirectory.create(sample_config(), path=Path("run"))

    monkeypatch.chdir("/")

    assert run.config() == sample_config()


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.mkdir()])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, make):
    make(tmp_path / "run")

    with pytest.raises(RecordError, match="not a run directory"):
        RunDirectory.open(tmp_path / "run")


def test_an_existing_run_is_opened(tmp_path: Path):
    finished_run(tmp_path / "run")

    assert RunDirectory.open(tmp_path / "run").read(PinSet) == sample_pins()


@pytest.mark.parametrize(
    ("kind", "name", "command"),
    [
        (PinSet, "pins.json", "hubtune run --resume --run-dir"),
        (DataRecord, "data.json", "hubtune train"),
        (TrainingRecord, "training.json", "hubtune train"),
        (EvaluationRecord, "evaluation.json", "hubtune evaluate"),
        (ReleaseRecord, "release.json", "hubtune publish"),
    ],
)
def test_a_record_that_is_missing_is_named_with_the_stage_that_makes_it(tmp_path: Path, kind, name: str, command: str):
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")

    with pytest.raises(RecordError, match=f"has no {name} yet") as caught:
        run.read(kind)

    assert command in str(caught.value.hint)
    assert not run.has(kind)


def test_records_that_belong_together_are_read(tmp_path: Path):
    run = finished_run(tmp_path / "run")

    for kind in (PinSet, DataRecord, TrainingRecord, EvaluationRecord):
        assert run.has(kind)


@pytest.mark.parametrize(
    ("overrides", "stale"),
    [
        (("train.seed=7",), {DataRecord, TrainingRecord, EvaluationRecord}),
        (("evaluate.holdout=0.3",), {DataRecord, TrainingRecord, EvaluationRecord}),
        (("evaluate.batch_size=1",), {EvaluationRecord}),
        (("card.bias=None known.", "publish.tag=v2.0.0"), set()),
    ],
)
def test_a_changed_config_makes_stale_what_was_made_from_the_changed_part(tmp_path: Path, overrides, stale):
    run = finished_run(tmp_path / "run")

    run.write_config(sample_config(*overrides))

    assert {kind for kind in (DataRecord, TrainingRecord, EvaluationRecord) if not run.has(kind)} == stale


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("pins.json", {DataRecord: "hubtune train", TrainingRecord: "hubtune train"}),
        ("data.json", {TrainingRecord: "hubtune train", EvaluationRecord: "hubtune evaluate"}),
        ("training.json", {EvaluationRecord: "hubtune evaluate"}),
    ],
)
def test_a_changed_record_is_told_by_those_made_from_it(tmp_path: Path, name: str, stale):
    run = finished_run(tmp_path / "run")
    path = run.path / name
    path.write_text(path.read_text() + "\n")

    for kind, command in stale.items():
        with pytest.raises(RecordError, match=rf"was made from another {name}") as caught:
            run.read(kind)
        assert command in str(caught.value.hint)


def test_a_lost_record_is_told_by_those_made_from_it(tmp_path: Path):
    run = finished_run(tmp_path / "run")
    run.record_file(DataRecord).unlink()

    with pytest.raises(RecordError, match=r"training\.json .* another data\.json"):
        run.read(TrainingRecord)


def test_an_upstream_that_this_version_does_not_know_is_told_as_changed_and_not_followed(tmp_path: Path):
    run = finished_run(tmp_path / "run")
    document = json.loads(run.record_file(DataRecord).read_text())
    document["upstream"]["../secret"] = "0" * 64
    run.record_file(DataRecord).write_text(json.dumps(document))

    with pytest.raises(RecordError, match="secret"):
        run.read(DataRecord)


def test_a_full_disk_is_told_when_a_record_is_written(tmp_path: Path, monkeypatch):
    run = finished_run(tmp_path / "run")
    before = run.record_file(PinSet).read_bytes()

    def no_room(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", no_room)

    with pytest.raises(DiskFullError):
        run.write(PinSet(base=sample_pins().base, data=[]))

    assert run.record_file(PinSet).read_bytes() == before


def test_events_are_lines_of_json_in_order_and_never_lost(tmp_path: Path):
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")
    run.event("train", event="loss", step=1, loss=2.5)
    run.event("evaluate", name="ümlaut\nbreak", value=None)

    first, second = (json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines())

    assert (first["stage"], first["event"], first["step"], first["loss"]) == ("train", "loss", 1, 2.5)
    assert (second["stage"], second["name"], second["value"]) == ("evaluate", "ümlaut\nbreak", None)
    assert first["time"] <= second["time"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_when_an_event_is_written(tmp_path: Path):
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")
    (run.path / "events.jsonl").symlink_to("/dev/full")

    with pytest.raises(DiskFullError):
        run.event("train", event="loss", step=1)
