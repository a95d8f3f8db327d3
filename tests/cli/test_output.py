"""A result is text or exactly one JSON document on stdout; everything else is on stderr."""

import json

import pytest

from hubtune.cli.output import Output
from hubtune.errors import CheckError, TrainingError
from tests.sample_runs import sample_pins


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]):
    def read() -> tuple[str, str]:
        streams = capsys.readouterr()
        return streams.out, streams.err

    return read


def test_json_is_the_record_and_nothing_else(printed):
    Output(as_json=True, quiet=False).result(sample_pins(), ["for people"])

    assert printed() == (sample_pins().to_json(), "")


def test_people_get_the_lines(printed):
    Output(as_json=False, quiet=False).result(sample_pins(), ["one", "two"])

    assert printed() == ("one\ntwo\n", "")


def test_an_error_says_what_happened_why_and_what_to_do_on_stderr(printed):
    Output(as_json=False, quiet=False).error(CheckError("Two failed.", details=["a: no", "b: no"], hint="Mend them."))

    assert printed() == ("", "Error: Two failed.\n  - a: no\n  - b: no\nWhat to do: Mend them.\n")


def test_an_error_as_json_is_one_document_with_its_class_and_exit_code(printed):
    Output(as_json=True, quiet=False).error(TrainingError("It diverged at ü.", hint="Lower it."))

    out, err = printed()
    assert json.loads(out) == {
        "error": {
            "type": "TrainingError",
            "exit_code": TrainingError.exit_code,
            "message": "It diverged at ü.",
            "details": [],
            "hint": "Lower it.",
        }
    }
    assert err.startswith("Error: It diverged")


def test_an_error_is_told_even_when_quiet(printed):
    Output(as_json=False, quiet=True).error(TrainingError("It diverged."))

    assert printed() == ("", "Error: It diverged.\n")


def test_progress_goes_to_stderr(printed):
    progress = Output(as_json=True, quiet=False).progress
    progress.say("Working")
    progress.warn("Look at this")

    assert printed() == ("", "Working\nWarning: Look at this\n")


def test_quiet_leaves_out_talk_and_keeps_warnings(printed):
    progress = Output(as_json=False, quiet=True).progress
    progress.say("Working")
    progress.warn("Look at this")
    with progress.task("Training", 3) as task:
        task.advance(note="loss")

    assert printed() == ("", "Warning: Look at this\n")


def test_brackets_in_a_message_are_printed_as_they_are(printed):
    Output(as_json=False, quiet=False).progress.say("data[0].template is [bold]not[/bold] [/x]")

    assert printed()[1] == "data[0].template is [bold]not[/bold] [/x]\n"
