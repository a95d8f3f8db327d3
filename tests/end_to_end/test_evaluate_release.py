"""Anyone can measure what is published, on its own data or on other data, and set it beside what else was measured."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hubtune.cli.app import app
from hubtune.errors import ConfigError, ReleaseError
from hubtune.pipeline.evaluate_release import MeasureOptions, measure_release
from hubtune.pipeline.generate import Prompt, generate
from hubtune.pipeline.merge import merge_published
from hubtune.records.release import CONFIG
from hubtune.records.results import EvaluationRecord
from hubtune.records.rundir import RunDirectory
from hubtune.release.compare import compare
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

    record = measure_release("lab/gpt2", "main", listener, MeasureOptions(str(data), ["data[0].text=quote"]))

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
    assert "perplexity: equal, because the values are the same" in shown.output


@pytest.mark.parametrize("claimed", ["diary.jsonl", "{place}"])
def test_no_file_is_measured_on_because_a_stranger_s_record_names_it(forge: Forge, tmp_path, monkeypatch, claimed: str):
    place = tmp_path / "diary.jsonl"
    place.write_text("".join(json.dumps(saying(number)) + "\n" for number in range(20)))
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(forge.files[CONFIG])
    data = {**config["data"][0], "path": claimed.format(place=place)}
    config["data"] = [{key: value for key, value in data.items() if key not in ("repo", "revision")}]
    changed = {
        CONFIG: yaml.safe_dump(config).encode(),
        **_with_pins(forge, "hubtune.lock", lambda pins: pins.update(data=[])),
    }
    manifest = json.loads(forge.manifest(changed))
    manifest["pins"]["data"] = []
    forge.publish({**changed, "hubtune.json": json.dumps(manifest).encode()})

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


def _with_pins(forge: Forge, path: str, change: Callable[[dict], object]) -> dict[str, bytes]:
    document = forge.json(path)
    change(document["pins"] if path == "hubtune.json" else document)
    return {path: json.dumps(document).encode()}


def _beside_a_local_file(forge: Forge) -> dict[str, bytes]:
    config = yaml.safe_load(forge.files[CONFIG])
    config["data"].append({"path": "diary.jsonl", "template": "{quote}"})
    lock = _with_pins(forge, "hubtune.lock", lambda pins: pins["data"][0].update(repo="me/secret"))
    return {CONFIG: yaml.safe_dump(config).encode(), **lock}


FORGERIES = {
    "lock's data": (
        lambda forge: _with_pins(forge, "hubtune.lock", lambda pins: pins["data"][0].update(repo="me/secret")),
        r"hubtune\.lock pins lab/gpt2, me/secret, and records/config\.yaml names lab/gpt2, lab/quotes",
    ),
    "lock's data beside a local file": (
        _beside_a_local_file,
        r"hubtune\.lock pins lab/gpt2, me/secret, and records/config\.yaml names lab/gpt2, lab/quotes",
    ),
    "manifest's data": (
        lambda forge: _with_pins(
            forge, "hubtune.json", lambda pins: pins["data"].append({**pins["data"][0], "repo": "me/secret"})
        ),
        r"hubtune\.json pins lab/gpt2, lab/quotes, me/secret, and records/config",
    ),
    "manifest's base": (
        lambda forge: _with_pins(forge, "hubtune.json", lambda pins: pins["base"].update(commit="ab" * 20)),
        r"hubtune\.json pins the base lab/gpt2 at abab\w+, and adapter_config\.json names lab/gpt2 at",
    ),
    "lock's commit of data": (
        lambda forge: _with_pins(forge, "hubtune.lock", lambda pins: pins["data"][0].update(commit="ab" * 20)),
        r"hubtune\.lock pins lab/quotes at abab\w+, and hubtune\.json lab/quotes at",
    ),
    "kind": (
        lambda forge: _with_pins(forge, "hubtune.lock", lambda pins: pins["data"][0].update(type="model")),
        r"hubtune\.lock pins lab/quotes as a model",
    ),
    "adapter's base": (
        lambda forge: {
            "adapter_config.json": forge.files["adapter_config.json"].replace(b'"lab/gpt2"', b'"me/secret"')
        },
        r"hubtune\.lock pins the base lab/gpt2 at \w+, and adapter_config\.json names me/secret at",
    ),
    "config's base": (
        lambda forge: {CONFIG: forge.files[CONFIG].replace(b"lab/gpt2", b"me/secret")},
        r"hubtune\.lock pins lab/gpt2, lab/quotes, and records/config\.yaml names me/secret, lab/quotes",
    ),
    "config's revision": (
        lambda forge: {CONFIG: re.sub(rb"revision: main", b"revision: " + b"ab" * 20, forge.files[CONFIG], count=1)},
        r"hubtune\.lock pins lab/gpt2 at \w+, and records/config\.yaml names it at abab",
    ),
}


@pytest.mark.parametrize(
    "forgery",
    [pytest.param(name, marks=[pytest.mark.full_trial] if number > 3 else []) for number, name in enumerate(FORGERIES)],
)
def test_a_release_whose_documents_name_different_inputs_is_refused_before_any_is_asked_for(
    forge: Forge, listener, tmp_path: Path, forgery: str
):
    change, said = FORGERIES[forgery]
    changed = change(forge)
    commit = forge.publish(changed) if "hubtune.json" in changed else forge.publish_consistently(changed)
    before = len(forge.hub.requests())

    for use in (
        lambda: measure_release(TARGET, TAG, listener),
        lambda: generate(TARGET, TAG, Prompt("The baker"), listener),
        lambda: merge_published(TARGET, TAG, tmp_path / "merged", listener),
    ):
        with pytest.raises(ReleaseError, match=said) as caught:
            use()
        assert commit in caught.value.message
        assert f"hubtune verify {TARGET}@{commit}" in str(caught.value.hint)

    assert {line["repo"] for line in forge.hub.requests()[before:]} <= {TARGET, None}


def test_verify_asks_for_none_of_different_inputs(forge: Forge):
    forge.publish_consistently(FORGERIES["lock's data"][0](forge))
    before = len(forge.hub.requests())

    record = verify(evaluate=True)

    assert "hubtune.lock pins lab/gpt2, me/secret, and records/config.yaml names" in detail(record, "base")
    assert statuses(record)["data"] == "unchecked"
    assert {statuses(record)[name] for name in ("base", "model", "evaluation")} == {"contradicted"}
    assert {line["repo"] for line in forge.hub.requests()[before:]} <= {TARGET, None}


def test_a_release_s_config_that_grows_without_end_is_an_error(forge: Forge, listener):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    forge.publish_consistently({CONFIG: "\n".join(lines).encode()})

    with pytest.raises(ConfigError, match=r"records/config\.yaml of"):
        measure_release(TARGET, TAG, listener)


def test_what_is_neither_run_nor_release_is_told(tmp_path):
    with pytest.raises(ConfigError, match="neither a run directory here nor a release"):
        compare(str(tmp_path / "gone"), "org/model")
