"""Every command explains itself, quickly, and its help pages are kept as golden files (UPDATE_GOLDEN=1 writes them)."""

import os
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hubtune import __version__
from hubtune.cli.app import app

GOLDEN = Path(__file__).parents[1] / "golden/help"


def commands(command, path=()):
    """Every command below a group, and the group, as the words that call it."""
    yield path
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, (*path, name))


ALL = sorted(commands(app))


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "hubtune")
def test_help_is_as_the_golden_page_says(path):
    # As wide as on a terminal of 100 columns or more.
    shown = CliRunner().invoke(app, [*path, "--help"], prog_name="hubtune", terminal_width=98)
    assert shown.stderr == ""
    golden = GOLDEN / f"{'-'.join(('hubtune', *path))}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(shown.stdout)
    assert shown.stdout == golden.read_text()


def test_there_is_a_golden_page_for_each_command_and_no_other():
    assert {page.stem for page in GOLDEN.iterdir()} == {"-".join(("hubtune", *path)) for path in ALL}


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "hubtune")
def test_every_command_and_every_option_has_a_help_text(path):
    command = app
    for name in path:
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.opts} of {' '.join(path)}"


def test_python_m_hubtune_is_the_same_command(bare):
    shown = bare.execute([sys.executable, "-m", "hubtune", "--help"])
    assert shown.code == 0
    assert shown.out == bare.done("--help").out


@pytest.mark.parametrize("program", ["hubtune", "hf-hubtune"])
def test_both_installed_scripts_tell_the_version(bare, program):
    shown = bare.execute([str(Path(sys.executable).with_name(program)), "--version"])
    assert (shown.code, shown.out) == (0, f"hubtune, version {__version__}\n")


IMPORTED = """
import runpy, sys
sys.argv = ["hubtune", *sys.argv[1:]]
try:
    runpy.run_module("hubtune", run_name="__main__")
except SystemExit:
    pass
print(*(name for name in ("torch", "transformers", "peft", "datasets", "huggingface_hub") if name in sys.modules))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["run"]], ids=" ".join)
def test_help_and_config_errors_import_no_heavy_package(bare, arguments):
    shown = bare.execute([sys.executable, "-c", IMPORTED, *arguments])
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[-1] == ""
