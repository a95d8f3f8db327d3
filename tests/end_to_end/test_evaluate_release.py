"""Anyone can measure what is published, on its own data or on other data, and set it beside what else was measured."""

import json
from collections.abc import Iterator

import pytest
import yaml
from click.testing import CliRunner

from hubtune.cli.app import app
from hubtune.errors import ConfigError, ReleaseError
from hubtune.pipeline.comparing import compare
from hubtune.pipeline.measuring import measure_release
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.published import CONFIG
from hubtune.records.rundir import RunDirectory
from tests.end_to_end.verifying import Forge, detail, statuses, verify
from tests.end_to_end.worlds import TARGET, World
from tests.sample_runs import saying
from tests.served_hub import ServedHub, serve

TAG = "v1.0.0"


@pytest.fixture(scope="module")
def published(released: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, ServedHub]]:
    world = released.copy(tmp_path_factory.mktemp("measured"))
    with pytest.MonkeyPatch.context() as patch, serve(world.hub, world.root / "home/hub", patch) as hub:
        yield world, hub


@pytest.fixture(scope="module")
def honest(published: tuple[World, ServedHub]) -> Forge:
    world, hub = published
    return Forge.of(hub, world)


@pytest.fixture
def forge(honest: Forge) -> Iterator[Forge]:
    yield honest
    honest.move_tag(honest.honest)


def test_a_release_is_measured_on_its_own_held_out_rows(published, listener):
    world, hub = published
    recorded = world.record("evaluation.json")["measures"][0]

    record = measure_release(TARGET, TAG, listener)

    (measure,) = record.measures
    assert (measure.name, measure.split, measure.n) == ("perplexity", "held-out", recorded["n"])
    assert (measure.base, measure.tuned) == pytest.approx((recorded["base"], recorded["tuned"]), rel=1e-3)
    pins = world.record("pins.json")
    assert (record.repo, record.commit, record.own_data) == (TARGET, hub.tags(TARGET)[TAG], True)
    assert (record.base, record.base_commit) == (pins["base"]["repo"], pins["base"]["commit"])
    assert record.data == [f"{pins['data'][0]['repo']}@{pins['data'][0]['commit']}"]


def test_it_is_measured_on_other_data_by_other_metrics(published, tmp_path):
    rows = [saying(number) for number in range(20)]
    data, out = tmp_path / "more.jsonl", tmp_path / "measured.json"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--data", str(data), "-s", "evaluate.metrics=[bits_per_byte, endings]", "--out", str(out))

    shown = CliRunner().invoke(
        app, ["--json", "evaluate", f"{TARGET}@{TAG}", *options, "-s", "evaluate.max_new_tokens=4"]
    )

    assert shown.exit_code == 0, shown.output
    record = json.loads(shown.stdout)
    assert record == json.loads(out.read_text())
    assert (record["own_data"], record["data"], record["max_new_tokens"]) == (False, ["more.jsonl"], 4)
    measured = [(one["name"], one["split"], one["n"], one["status"]) for one in record["measures"]]
    assert measured == [(name, "given", 20, "measured") for name in ("bits_per_byte", "ended", "generated_tokens")]


def test_anybody_s_whole_model_is_measured_alone(published, tmp_path, listener):
    data = tmp_path / "more.jsonl"
    data.write_text("".join(json.dumps(saying(number)) + "\n" for number in range(20)))

    record = measure_release("lab/gpt2", "main", listener, data=str(data), overrides=["data[0].text=quote"])

    assert {measure.name: measure.status for measure in record.measures}["perplexity"] == "measured"
    assert all(measure.base is None for measure in record.measures)
    assert (record.base, record.base_commit) == (None, None)
    assert record.samples[0].base is None


def test_without_records_the_data_has_to_be_named(published, listener):
    with pytest.raises(ConfigError, match="no records of hubtune") as caught:
        measure_release("lab/gpt2", "main", listener)

    assert "--data" in str(caught.value.hint)


def test_a_run_and_its_release_compare_and_are_equal(published):
    world, _ = published

    record = compare(str(world.run_dir), f"{TARGET}@{TAG}")

    (measure,) = record.measures
    assert (measure.comparable, measure.difference, measure.verdict) == (True, 0, "equal")
    assert (record.a.kind, record.b.kind, record.same_rows) == ("run", "release", True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n": 7}, "items"),
        ({"version": "2"}, "version 2 and 1"),
        ({"seed": 7}, "their seeds are 7 and 42"),
        ({"settings": {"given": "half"}}, "another given"),
        ({"tuned": None}, "not both have a value"),
    ],
)
def test_what_was_measured_otherwise_does_not_compare(finished, published, changes, reason):
    run = RunDirectory.open(finished.run_dir)
    record = run.read(EvaluationRecord)
    run.write(record.model_copy(update={"measures": [record.measures[0].model_copy(update=changes)]}))

    (measure,) = compare(str(run.path), f"{TARGET}@{TAG}").measures

    assert (measure.comparable, measure.difference, measure.verdict) == (False, None, "not comparable")
    assert reason in measure.reason


def test_the_command_shows_both_values_and_what_the_difference_is_worth(published):
    world, _ = published

    shown = CliRunner().invoke(app, ["compare", str(world.run_dir), f"{TARGET}@{TAG}"])

    assert shown.exit_code == 0, shown.output
    value = f"{world.record('evaluation.json')['measures'][0]['tuned']:,.2f}"
    assert f"perplexity  {value}  {value}     +0" in shown.output
    assert "perplexity: equal, since the values are the same" in shown.output


@pytest.mark.parametrize("claimed", ["diary.jsonl", "{place}"])
def test_no_file_is_measured_on_because_a_stranger_s_record_names_it(forge: Forge, tmp_path, monkeypatch, claimed: str):
    place = tmp_path / "diary.jsonl"
    place.write_text("".join(json.dumps(saying(number)) + "\n" for number in range(20)))
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(forge.files[CONFIG])
    data = {**config["data"][0], "path": claimed.format(place=place)}
    config["data"] = [{key: value for key, value in data.items() if key not in ("repo", "revision")}]
    forge.publish_consistently({CONFIG: yaml.safe_dump(config).encode()})

    shown = CliRunner().invoke(app, ["evaluate", f"{TARGET}@{TAG}"], standalone_mode=False)
    record = verify(evaluate=True)

    assert isinstance(shown.exception, ReleaseError)
    assert "data[0].path" in shown.exception.message
    if claimed == "diary.jsonl":
        assert "--data FILE" in str(shown.exception.hint)
        assert statuses(record)["evaluation"] == "unchecked"
        assert "data[0].path" in detail(record, "evaluation")
    else:
        assert "data[0].path" in detail(record, "records")


def test_no_other_repository_is_read_because_a_stranger_s_lock_pins_it(forge: Forge, listener):
    lock = json.loads(forge.files["hubtune.lock"])
    lock["data"][0]["repo"] = "me/secret"
    forge.publish_consistently({"hubtune.lock": json.dumps(lock).encode()})

    with pytest.raises(ReleaseError, match=r"pins lab/gpt2, me/secret, and its records/config\.yaml names"):
        measure_release(TARGET, TAG, listener)


def test_a_release_s_config_that_grows_without_end_is_an_error(forge: Forge, listener):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    forge.publish_consistently({CONFIG: "\n".join(lines).encode()})

    with pytest.raises(ConfigError, match=r"records/config\.yaml of"):
        measure_release(TARGET, TAG, listener)


def test_what_is_neither_run_nor_release_is_told(tmp_path):
    with pytest.raises(ConfigError, match="neither a run directory here nor a release"):
        compare(str(tmp_path / "gone"), "org/model")
