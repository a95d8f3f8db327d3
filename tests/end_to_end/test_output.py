"""What goes to stdout and what to stderr: one JSON document, plain lines, nothing, or bars."""

import json

import pytest

from hubtune.errors import RecordError, RepoNotFoundError
from tests.end_to_end.worlds import digests, write_rows


def test_a_run_that_publishes_prints_the_release_record_alone(released):
    assert json.loads((released.root / "stdout").read_text()) == released.record("release.json")


def test_a_quiet_run_prints_its_record_and_leaves_stderr_empty(rehearsed):
    record = json.loads((rehearsed.root / "stdout").read_text())
    assert record["pins"] == rehearsed.record("pins.json", "run2")
    assert record["training"] == rehearsed.record("training.json", "run2")
    assert record["evaluation"] == rehearsed.record("evaluation.json", "run2")
    assert record["card"] == str(rehearsed.work / "run2/README.md")
    assert (rehearsed.root / "stderr").read_text() == ""


def test_each_long_step_is_a_plain_line_where_stderr_is_no_terminal(released):
    shown = (released.root / "stderr").read_text()
    steps = [
        "Checking",
        "Fetching the pinned inputs",
        "Reading lab/quotes",
        "Training",
        "Held-out rows, base",
        "Publishing to",
    ]
    positions = [shown.index(step) for step in steps]
    assert positions == sorted(positions)
    for step in steps[:-1]:
        assert f"{step} …\n" in shown
        assert f"{step}: done in " in shown
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_check_prints_its_findings_as_one_json_document(world):
    findings = world.done("--json", "check", "--hub", world.hub).document["findings"]
    assert {finding["status"] for finding in findings} == {"ok"}
    assert {"publish", "card", "license", "disk", "base lab/gpt2", "data lab/quotes"} <= {
        finding["check"] for finding in findings
    }
    assert world.writes() == []


def test_pin_prints_the_pins_as_one_json_document(world):
    shown = world.done("--json", "--quiet", "pin", "--hub", world.hub)
    assert shown.document == json.loads((world.work / "hubtune.lock").read_text())
    assert shown.err == ""


def test_a_dry_run_prints_its_findings_as_one_json_document_and_leaves_nothing(world):
    before = digests(world.root, leave_out=("requests.jsonl", "lock"))
    assert world.done("--json", "run", "--push", "--dry-run", "--hub", world.hub).document["findings"]
    assert digests(world.root, leave_out=("requests.jsonl", "lock")) == before
    assert world.writes() == []


def test_card_render_and_publish_each_print_one_json_document(finished):
    card = finished.done("--json", "--quiet", "card", "render", "run")
    assert card.document["path"] == str(finished.run_dir / "README.md")
    assert card.document["sha256"] == digests(finished.run_dir)["README.md"]
    release = finished.done("--json", "--quiet", "publish", "run", "--hub", finished.hub)
    assert release.document == finished.record("release.json")
    assert card.err == release.err == ""


def test_an_import_prints_one_json_document(bare, sources):
    shown = bare.done(
        "--json", "--quiet", "hub", "import", sources / "quotes", "lab/q", "--type", "dataset", "--hub", bare.hub
    )
    assert (shown.document["repo"], shown.document["type"]) == ("lab/q", "dataset")
    assert shown.err == ""


def test_an_error_is_one_json_document_and_the_message_for_people_stays_on_stderr(bare):
    shown = bare.hubtune("--json", "--quiet", "train", "nowhere")
    shown.refused(RecordError, "nowhere")
    error = shown.document["error"]
    assert (error["type"], error["exit_code"]) == ("RecordError", RecordError.exit_code)
    assert error["message"] in shown.err
    assert error["hint"] in shown.err


def test_failed_checks_are_one_json_document_with_what_is_in_order_too(world):
    world.config(base__repo="lab/none")
    shown = world.hubtune("--json", "check", "--hub", world.hub)
    assert shown.code == RepoNotFoundError.exit_code
    found = {finding["check"]: finding["status"] for finding in shown.document["findings"]}
    assert found["base lab/none"] == "error"
    assert found["data lab/quotes"] == "ok"


def test_without_json_the_result_stays_on_stdout_and_the_talk_on_stderr(world):
    shown = world.done("pin", "--hub", world.hub)
    assert "lab/gpt2  main is " in shown.out
    assert "Fetching" not in shown.out
    assert "Fetching" in shown.err


def test_a_bar_is_drawn_on_a_terminal(world):
    shown = world.on_a_terminal("check", "--hub", world.hub)
    assert shown.code == 0
    assert "Checking" in shown.err
    assert "━" in shown.err
    assert "\x1b[" in shown.err


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), pytest.param({"TERM": "dumb"}, False, marks=pytest.mark.full_trial)],
    ids=["", "NO_COLOR", "dumb"],
)
def test_a_warning_is_coloured_unless_the_terminal_or_the_user_wants_none(world, env, coloured):
    write_rows(world.root / "plain/train.jsonl", [{"author": "x", "quote": "y"}])
    world.done("hub", "import", world.root / "plain", "lab/plain", "--type", "dataset", "--hub", world.hub)
    world.config(data__repo="lab/plain")
    # The run ends after the checks, since its folder is not empty.
    shown = world.on_a_terminal("run", "--hub", world.hub, "--run-dir", ".", **env)
    assert shown.code == RecordError.exit_code
    assert "Warning:" in shown.err
    assert ("\x1b[33mWarning:" in shown.err) is coloured
