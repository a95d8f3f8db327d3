"""The command as a process: what stops it, and streams that are closed, full, or of a small alphabet."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubtune.errors import ConfigError, OutputError, RecordError

RULES = ("card", "lint", "--list-rules")
NAME = "Ünï-你好-🤗.yaml"


def hubtune(*arguments: str, shell: str = "", folder: Path | None = None, **env: str):
    """Runs the command by a shell, with redirections of its own."""
    command = 'exec "$0" -m hubtune "$@" ' + shell
    return subprocess.run(
        ["bash", "-c", command, sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **env},
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "shell"),
    [
        (RULES, ">/dev/full"),
        (RULES, ">&-"),
        pytest.param(("--json", *RULES), ">/dev/full", marks=pytest.mark.full_trial),
        pytest.param(("--help",), ">/dev/full", marks=pytest.mark.full_trial),
        pytest.param(RULES, "<&- >&-", marks=pytest.mark.full_trial),
    ],
)
def test_a_result_that_cannot_be_printed_is_an_error_with_a_code_of_its_own(arguments, shell):
    done = hubtune(*arguments, shell=shell)
    assert done.returncode == OutputError.exit_code
    assert done.stderr.startswith(b"Error: The result cannot be printed")
    assert done.stderr.count(b"\n") == 2


def test_an_error_whose_document_cannot_be_printed_keeps_its_own_code(tmp_path):
    done = hubtune("--json", "train", "nowhere", shell=">/dev/full", folder=tmp_path)
    assert done.returncode == RecordError.exit_code
    assert b"nowhere" in done.stderr
    assert b"The result cannot be printed" in done.stderr


def test_a_reader_that_is_gone_ends_the_command_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as out:
        done = subprocess.run([sys.executable, "-m", "hubtune", *RULES], stdout=out, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_talk_that_nobody_can_read_does_not_end_the_work(shell, tmp_path):
    assert hubtune("train", "nowhere", shell=shell, folder=tmp_path).returncode == RecordError.exit_code


def test_a_closed_stream_does_not_pass_its_number_to_a_file():
    code = "from hubtune.cli.output import prepare; prepare(); print(open('/dev/null').fileno())"
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" <&-', sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
    )
    assert int(done.stdout) > 2


def test_what_libraries_log_and_warn_steers_no_terminal_and_a_bar_does():
    code = """
import logging, warnings
from hubtune.cli.output import prepare, terminal
prepare()
evil = "\x1b[2J\x07\u202e.weight\\nnext"
logging.warning(evil)
warnings.warn(evil)
terminal().write("\x1b[0m bar\\n")
raise ValueError(evil)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
    )
    shown = done.stderr.decode()
    assert shown.count(r"\x1b[2J\x07\u202e.weight") == 3
    assert shown.count("\nnext") == 3
    assert "\x1b[0m bar" in shown
    assert shown.count("\x1b") == 1
    assert not {"\x07", "\u202e"} & set(shown)


@pytest.mark.parametrize("encoding", ["ascii", "gbk", pytest.param("cp1252", marks=pytest.mark.full_trial)])
def test_what_the_encoding_of_stdout_lacks_is_escaped(encoding, tmp_path):
    done = hubtune("--json", "check", NAME, folder=tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == ConfigError.exit_code
    assert done.stdout.isascii()
    assert NAME in json.loads(done.stdout)["error"]["message"]
    assert "\\U0001f917" in done.stderr.decode(encoding)


def test_json_keeps_its_letters_where_stdout_has_them(tmp_path):
    assert NAME in hubtune("--json", "check", NAME, folder=tmp_path, PYTHONIOENCODING="utf-8").stdout.decode()


def test_an_argument_that_is_not_text_is_refused(tmp_path):
    done = hubtune("check", shell="$(printf 'a\\377.yaml')", folder=tmp_path)
    assert done.returncode == ConfigError.exit_code
    assert b"is not text in UTF-8" in done.stderr


def test_a_prompt_from_a_closed_stdin_is_empty():
    done = hubtune("generate", "org/name@v1", "-", shell="<&-")
    assert done.returncode == ConfigError.exit_code
    assert b"The prompt is empty" in done.stderr


def test_an_error_shows_where_it_came_from_if_asked(tmp_path):
    plain, asked = (hubtune(*given, "check", folder=tmp_path) for given in ((), ("--traceback",)))
    assert plain.returncode == asked.returncode == ConfigError.exit_code
    assert b"Traceback" not in plain.stderr
    assert asked.stderr.startswith(plain.stderr)
    assert b"Traceback" in asked.stderr
    assert b"ConfigError" in asked.stderr


WAITS = """
import os, signal

def wait():
    os.write(2, b"here\\n")
    signal.pause()
"""
TURNS_IT_INTO_AN_ERROR = """
try:
    wait()
except KeyboardInterrupt:
    raise ImportError("numpy was not imported")
"""
LOSES_IT = """
class Freed:
    def __del__(self):
        wait()
Freed()
signal.pause()
"""
CLEANS_UP = """
from hubtune import signals
signals._SAME = -1
try:
    wait()
finally:
    wait()
"""


def stopped(folder: Path, program: str, *signals: int) -> tuple[int, str]:
    """Stops the command while it imports a library that does as `program` says; returns its exit code and stderr."""
    (folder / "click.py").write_text(WAITS + program)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(Path(__file__).parents[2])))}
    with subprocess.Popen(
        [sys.executable, "-m", "hubtune", "check"], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        for number in signals:
            assert process.stderr.readline() == "here\n"
            process.send_signal(number)
        shown = process.stderr.read()
    return process.returncode, shown


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_a_stop_during_imports_ends_with_the_signals_code_and_one_line(tmp_path, number, code):
    ended, shown = stopped(tmp_path, "wait()", number)
    assert ended == code
    assert shown.startswith("Stopped")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("program", [TURNS_IT_INTO_AN_ERROR, LOSES_IT])
def test_a_stop_that_a_library_turns_into_something_else_is_a_stop(tmp_path, program):
    ended, shown = stopped(tmp_path, program, signal.SIGTERM)
    assert (ended, shown) == (143, "Stopped by SIGTERM.\n")


def test_a_second_stop_ends_the_process_at_once(tmp_path):
    assert stopped(tmp_path, CLEANS_UP, signal.SIGINT, signal.SIGINT) == (130, "")


def test_a_tokenizer_s_expression_that_takes_for_ever_is_an_error_and_no_bug():
    script = (
        "from tokenizers import Regex\n"
        "from tokenizers.pre_tokenizers import Split\n"
        "from hubtune.cli import main\n"
        r"split = Split(Regex(r'(\w|.)*[^\w\W]'), 'isolated')" + "\n"
        "main._call = lambda arguments: split.pre_tokenize_str('a' * 300)\n"
        "main.main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 30
    assert "retry-limit-in-match over" in done.stderr
    assert "Traceback" not in done.stderr


def test_packages_are_not_given_code_of_other_repositories_by_the_package_kernels(tmp_path: Path):
    (tmp_path / "kernels.py").write_text("print('imported')\n")
    script = (
        "import importlib.util, sys\n"
        "from hubtune.cli.main import main\n"
        "sys.argv = ['hubtune', 'card', 'lint', '--list-rules']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print('found:', importlib.util.find_spec('kernels'))\n"
        "    import kernels\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "found: None" in done.stdout
    assert "imported" not in done.stdout
    assert "ModuleNotFoundError" in done.stderr
