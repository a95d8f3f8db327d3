"""A log gets few plain lines, a terminal gets bars, and no text is taken for markup."""

import io

import pytest
from rich.console import Console

from hubtune.cli.output import TerminalProgress


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def in_log(log: io.StringIO) -> TerminalProgress:
    return TerminalProgress(Console(file=log, force_terminal=False), quiet=False)


@pytest.fixture
def at_terminal(log: io.StringIO) -> TerminalProgress:
    return TerminalProgress(Console(file=log, force_terminal=True, width=120), quiet=False)


def test_a_step_in_a_log_begins_and_ends_with_a_line(in_log, log):
    with in_log.task("Reading [x]", 1) as task:
        task.advance()

    first, last = log.getvalue().splitlines()
    assert first == "Reading [x] …"
    assert last.startswith("Reading [x]: done in ")


def test_a_long_step_in_a_log_stays_short(in_log, log):
    with in_log.task("Training", 10_000) as task:
        for _ in range(10_000):
            task.advance(note="loss 2.5")

    assert len(log.getvalue().splitlines()) <= 12


def test_a_step_that_fails_is_not_said_to_be_done(in_log, log):
    with pytest.raises(KeyError), in_log.task("Training", 2):
        raise KeyError

    assert "done" not in log.getvalue()


def test_a_step_of_no_parts_is_no_fault(in_log, log):
    with in_log.task("Fetching", 0, unit="bytes") as task:
        task.advance(0)

    assert "Fetching: done" in log.getvalue()


def test_a_terminal_shows_how_far_a_step_is_and_its_note(at_terminal, log):
    with at_terminal.task("Training", 4) as task:
        task.advance(2, note="[loss] 2.5")
        task.advance(2, note="[loss] 1.5")

    shown = log.getvalue()
    assert "Training" in shown
    assert "4/4" in shown
    assert "[loss] 1.5" in shown


def test_a_terminal_shows_bytes_as_such(at_terminal, log):
    with at_terminal.task("Fetching", 2_000_000, unit="bytes") as task:
        task.advance(2_000_000)

    assert "2.0 MB" in log.getvalue() or "2.0/2.0 MB" in log.getvalue()


def test_a_warning_stands_out_and_its_text_is_no_markup(in_log, log):
    in_log.warn("the key [red]data[0][/red]")

    assert log.getvalue() == "Warning: the key [red]data[0][/red]\n"


def test_a_long_line_is_not_broken(in_log, log):
    in_log.say("word " * 60)

    assert len(log.getvalue().splitlines()) == 1


def test_quiet_shows_no_step(log):
    with TerminalProgress(Console(file=log), quiet=True).task("Training", 2) as task:
        task.advance()

    assert log.getvalue() == ""
