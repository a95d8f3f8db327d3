"""A hint names options of the command that runs, or of the whole command that it spells out."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from huggingface_hub import constants

import hubtune
from hubtune.cli.app import app, command_of, has_option
from hubtune.errors import DiskFullError, HubtuneError, HubUnreachableError, RecordError
from hubtune.files import explain
from hubtune.records.base import LicenseRecord, PinSet
from hubtune.records.data import DataRecord
from hubtune.records.release import ReleaseRecord
from hubtune.records.results import EvaluationRecord
from hubtune.records.rundir import RunDirectory

SOURCES = Path(hubtune.__file__).parent
WORDS = re.compile(r"(?<![\w-])(--[a-z][a-z-]+|-s)(?![\w-])")
WHOLE = re.compile(r"(?:^|: |`)hubtune ((?:(?!hubtune )[\w{}./@=-]+ ?)+)")
OTHERS = re.compile(r": (?:pip|hf) .*")
# What only the named command, or one of several after commas, can raise, with an option that it has.
OF_ONE_COMMAND = {
    "pipeline/evaluate_release.py": "evaluate",
    "pipeline/merge.py": "merge",
    "pipeline/generate.py": "generate",
    "pipeline/run.py": "run",
    "pipeline/planning.py": "publish",
    "pipeline/stages.py": "publish",
    "release/tag.py": "release tag",
    "records/rundir.py": "run",
    "config/load.py": "run,evaluate",
    "localhub/accounts.py": "hub serve",
    "localhub/fault_injection.py": "hub serve",
    "localhub/server.py": "hub serve",
    "cli/options.py": "run",
    "train/trainer.py": "train",
    "train/processes.py": "train",
    "train/sharding.py": "train",
    "sweep/report.py": "sweep",
    "sweep/plan.py": "sweep",
    "sweep/study.py": "sweep",
    "sweep/storage.py": "sweep",
    "sweep/search.py": "sweep",
    "cli/sweep.py": "sweep",
    "pipeline/launch.py": "run",
    "pipeline/launched.py": "run",
    "hub/jobs.py": "run",
    "pipeline/remote.py": "run",
    "pipeline/exchange.py": "run",
    "cli/run.py": "run",
    "cli/license.py": "license",
    "cli/evaluate.py": "evaluate",
}


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return ""


def _hints() -> Iterator[tuple[str, str]]:
    """Gives each hint that does not depend on the running command, after the file that it stands in."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            place = path.relative_to(SOURCES).as_posix()
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "advise":
                    yield place, _text(node.args[2])
                for keyword in node.keywords:
                    if keyword.arg == "hint" and isinstance(keyword.value, ast.Constant | ast.JoinedStr | ast.BinOp):
                        yield place, _text(keyword.value)


def _command(words: str) -> click.Command:
    return command_of(words.split())


@pytest.mark.parametrize(("place", "text"), [(place, text) for place, text in _hints() if WHOLE.search(text)])
def test_a_whole_command_in_a_hint_exists_and_has_its_options(place, text):
    for whole in WHOLE.findall(text):
        if whole.startswith("{}"):
            # The command that runs; which it is, the test of its options alone knows.
            continue
        command = _command(whole)
        assert whole.split()[0].startswith("-") or whole.split()[0] in app.commands, text
        if not isinstance(command, click.Group):
            assert all(has_option(command, option) for option in WORDS.findall(whole)), text


def test_an_option_alone_stands_only_in_hints_of_commands_that_have_it():
    for place, text in _hints():
        left = WORDS.findall(OTHERS.sub("", WHOLE.sub("", text)))
        if left:
            assert place in OF_ONE_COMMAND, f"{place}: use `advise` for {text!r}"
            commands = [_command(words) for words in OF_ONE_COMMAND[place].split(",")]
            assert any(all(has_option(command, option) for option in left) for command in commands), (place, text)


def fault(*arguments: str) -> HubtuneError:
    raised = CliRunner().invoke(app, arguments).exception
    assert isinstance(raised, HubtuneError), raised
    return raised


UNREACHABLE = [
    ("verify", "org/x@v1.0.0"),
    ("card", "lint", "org/x"),
    ("card", "diff", "org/x@v1", "org/x@v2"),
    ("compare", "org/x@v1", "org/x@v2"),
    ("merge", "org/x@v1.0.0", "out"),
    ("generate", "org/x@v1.0.0", "Hello"),
    ("release", "list", "org/x"),
    ("release", "notes", "org/x", "v1", "v2"),
    ("evaluate", "org/x@v1.0.0"),
]


@pytest.mark.parametrize("arguments", UNREACHABLE, ids=" ".join)
def test_where_no_hub_answers_the_hint_names_options_of_the_command_that_runs(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_annannann")
    raised = fault(*arguments)
    assert isinstance(raised, HubUnreachableError)
    command = command_of(arguments)
    assert all(has_option(command, option) for option in WORDS.findall(str(raised.hint))), raised.hint


def test_a_full_disk_offers_to_resume_only_where_a_command_can():
    said = {}
    for name in ("run", "train", "pin", "merge"):
        with click.Context(app.commands[name]):
            error = explain(OSError(28, "full"), Path("x"))
        assert isinstance(error, DiskFullError)
        said[name] = "--resume" in str(error.hint)
    assert said == {"run": True, "train": True, "pin": False, "merge": False}


def test_a_missing_record_is_made_by_a_command_that_takes_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("base: {repo: a/b}\ndata: [{repo: c/d, text: quote}]\n")
    run = RunDirectory.open(tmp_path / "run")
    for kind in (PinSet, DataRecord, EvaluationRecord, ReleaseRecord, LicenseRecord):
        with pytest.raises(RecordError) as caught:
            run.read(kind)
        (whole,) = WHOLE.findall(str(caught.value.hint).replace(str(tmp_path), "."))
        command = _command(whole)
        takes_run = any(parameter.name in ("run", "subject") for parameter in command.params)
        assert takes_run or "--run-dir" in WORDS.findall(whole), whole
        assert all(has_option(command, option) for option in WORDS.findall(whole)), whole


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["evaluate", "missing"], "missing is neither a run directory here nor a release.", "REPO@TAG"),
        (["run", "missing.yaml"], "There is no config file missing.yaml.", "hubtune init DATASET BASE"),
        (["card", "lint"], "No card to check was given.", "hubtune card lint org/name"),
        (["license", "--base", "gpl3"], "did you mean gpl-3.0?", "https://"),
        (["run", "c.yaml", "--tag", "v1"], "c.yaml cannot be used: 1 thing to correct.", "options of the command"),
        (["run", "c.yaml", "--create-pr"], "--create-pr is for a run that is published.", "Add --push"),
    ],
)
def test_a_wrong_invocation_is_answered_with_what_to_do(arguments, message, hint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("base: {repo: a/b}\ndata: [{repo: c/d, text: quote}]\n")
    raised = fault(*arguments)
    assert message in raised.message
    assert hint in str(raised.hint)


def test_a_number_that_is_none_is_asked_for_in_plain_words():
    shown = CliRunner().invoke(app, ["data", "show", "-n", "x"])
    assert "'x' is not a valid whole number" in shown.output


def test_the_json_of_a_usage_error_names_the_help_of_its_command():
    command = [sys.executable, "-m", "hubtune", "--json", "data", "show", "-n", "x"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert json.loads(shown.stdout)["error"]["hint"] == "See how it is used: hubtune data show --help"
