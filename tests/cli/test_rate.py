"""`hubtune rate` in the terminal: the same answers as on the page, one a line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hubtune.cli.app import app
from hubtune.errors import ConfigError, HubError, RecordError
from hubtune.records.ratings import RatingPair, RatingsRecord
from hubtune.records.rundir import RunDirectory
from tests.sample_ratings import FROM_TUNED, ratable_run, sample_pairs
from tests.sample_runs import finished_run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return ratable_run(tmp_path / "run", sample_pairs(3))


def rate(run: RunDirectory, *arguments: str, keys: str = "", json_wanted: bool = False) -> Result:
    options = ["--json"] if json_wanted else []
    return CliRunner().invoke(app, [*options, "rate", str(run.path), *arguments], input=keys)


def test_every_key_does_what_it_says_and_the_result_goes_to_stdout(run: RunDirectory):
    shown = rate(run, "--terminal", keys="1\nx\n\nu\n2\nT\n0\n")

    assert shown.exit_code == 0, shown
    assert shown.stderr.count("--- Pair 1 of 3 ---") == 2
    assert "That is not one of the answers." in shown.stderr
    assert "All 3 pairs are rated." in shown.stderr
    assert shown.stdout.splitlines()[1].startswith("pairs: tuned better in ")
    assert f"{FROM_TUNED} field" not in shown.stdout
    record = run.read(RatingsRecord)
    assert (record.counts.answers, record.counts.ties) == (3, 2)


@pytest.mark.parametrize("end", ["q\n", ""])
def test_quitting_or_the_end_of_the_input_keeps_the_answers_and_the_next_call_goes_on(run: RunDirectory, end: str):
    assert rate(run, "--terminal", keys=f"1\n{end}").exit_code == 0

    shown = rate(run, "--terminal", keys="2\n2\n")
    assert "--- Pair 1 of 3 ---" not in shown.stderr
    assert "--- Pair 2 of 3 ---" in shown.stderr
    assert "answers: 3 of 1 rater" in shown.stdout


def test_a_second_rater_begins_at_the_first_pair_and_the_agreement_is_told(run: RunDirectory):
    rate(run, "--terminal", keys="0\n0\n0\n")
    shown = rate(run, "--terminal", "--rater", "bob", keys="0\n")

    assert "--- Pair 1 of 3 ---" in shown.stderr
    assert "answers: 4 of 2 raters" in shown.stdout
    assert "answered the same in 1 of 1 comparisons of the same pair (100.0%)" in shown.stdout
    assert "win rate: no decided pairs" in shown.stdout


def test_the_report_is_one_record_and_asks_nothing(run: RunDirectory):
    rate(run, "--terminal", keys="1\n")
    shown = rate(run, "--report", json_wanted=True)

    assert json.loads(shown.stdout) == json.loads(run.read(RatingsRecord).to_json())
    assert "RatingPair" not in shown.stderr


def test_what_would_steer_the_terminal_is_taken_out_of_texts(tmp_path: Path):
    evil = "\x1b]0;title\x07\x1b[2J\rhidden\x9b31m\u202eback\u2066"
    run = ratable_run(tmp_path / "evil", [RatingPair(prompt=evil, base=evil, tuned=f"{evil}\n\ttwo")])
    shown = rate(run, "--terminal", keys="q\n")

    assert not set("\x1b\x07\r\x9b\u202e\u2066") & set(shown.stderr)
    assert "hidden" in shown.stderr


def test_a_cut_off_last_line_is_told_and_its_pair_asked_for_again(run: RunDirectory):
    rate(run, "--terminal", keys="1\n1\n")
    file = run.ratings_dir / "rater1.jsonl"
    file.write_bytes(file.read_bytes()[:-30])

    shown = rate(run, "--terminal", keys="q\n")
    assert "Warning: The last answer was not saved" in " ".join(shown.stderr.split())
    assert "--- Pair 2 of 3 ---" in shown.stderr


def test_a_broken_line_is_an_error_that_names_file_and_line(run: RunDirectory):
    rate(run, "--terminal", keys="1\n1\n")
    file = run.ratings_dir / "rater1.jsonl"
    file.write_text("?" + file.read_text())

    for arguments in (["--terminal"], ["--report"], ["--terminal", "--rater", "bob"]):
        error = rate(run, *arguments, keys="1\n").exception
        assert isinstance(error, RecordError), arguments
        assert f"Line 1 of {file}" in error.message


def test_a_taken_port_is_refused(run: RunDirectory):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert isinstance(rate(run, "--port", port).exception, HubError)


def test_bad_names_and_runs_without_answers_are_refused(run: RunDirectory, tmp_path: Path):
    assert isinstance(rate(run, "--rater", "../x").exception, ConfigError)
    for other in (run, finished_run(tmp_path / "other")):
        assert isinstance(rate(other, "--report").exception, RecordError)
    assert rate(run, "-n", "0").exit_code == 2
