"""A result is text or exactly one JSON document on stdout; everything else is on stderr."""

import json

import pytest

from hubtune.cli.output import Output
from hubtune.errors import CheckError, TrainingError
from tests.sample_runs import sample_pins

# What clears a screen, rings, goes back to the line's start, hides text, and turns its direction.
STEERING = "\x1b[2J\x07\r\x9b31m\x7f\u202e\u2066\u2028"
FALSE_LINE = "\n  - confirmed\nWhat to do: rm -r ~"


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


def test_words_of_strangers_neither_steer_the_terminal_nor_pass_for_a_line(printed):
    evil = f"é {STEERING}{FALSE_LINE}\x1b"
    output = Output(as_json=False, quiet=False)
    output.error(TrainingError(evil, details=[evil], hint=evil))
    output.progress.say(evil)
    output.progress.warn(evil)
    with output.progress.task(evil, 2) as task:
        task.advance(note=evil)
    output.result(sample_pins(), [evil])

    out, err = printed()
    for text in (out, err):
        assert not set(STEERING) & set(text) - set("[2J31m")
        assert r"é \x1b[2J\x07 \x9b31m\x7f\u202e\u2066\u2028 - confirmed What to do: rm -r ~\x1b" in text
    assert [len(text.splitlines()) for text in (out, err)] == [1, 7]


def test_json_holds_the_words_of_strangers_in_its_own_escapes(printed):
    evil = f"é {STEERING}{FALSE_LINE}"
    Output(as_json=True, quiet=False).error(TrainingError(evil))
    pins = sample_pins()
    pins = pins.model_copy(update={"base": pins.base.model_copy(update={"requested": evil})})
    out, _ = printed()
    Output(as_json=True, quiet=False).result(pins)
    other, _ = printed()

    assert json.loads(out)["error"]["message"] == evil == json.loads(other)["base"]["requested"]
    for text in (out, other):
        assert not set(STEERING) & set(text) - set("[2J31m")


def test_text_that_is_to_be_shown_to_the_character_is(printed):
    Output(as_json=False, quiet=False).result(sample_pins(), [f"a\n {STEERING}"], verbatim=True)

    assert printed() == (f"a\n {STEERING}\n", "")
