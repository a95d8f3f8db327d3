"""Runs unchanged clients, each in a process of its own because they read HF_ENDPOINT when they are imported."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.preloaded import preloaded

SCRIPTS = Path(__file__).with_name("scripts")


@pytest.fixture
def environment(hub, tmp_path) -> dict[str, str]:
    """That of user `demo` of the Hub, with a cache that has nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return environment | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "t",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def work(tmp_path) -> Path:
    """A folder of its own: the client's package has a module that is called like one of Python's."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def run(environment, work) -> Callable[..., str]:
    """Runs a command as user `demo` of the Hub and returns what it printed."""

    def call(*command: str | Path, **more: str) -> str:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**environment, **more}, cwd=work, timeout=120
        )
        if done.returncode:
            pytest.fail(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    return call


@pytest.fixture
def run_script(environment, work) -> Callable[..., str]:
    """Runs one of the scripts beside this file; it fails the test where an assertion of its own fails.

    Its process has torch imported already, and nothing that reads the environment.
    """

    def call(name: str, *arguments: str | Path) -> str:
        code = (SCRIPTS / name).read_text()
        done = preloaded().run([name, *map(str, arguments)], work, environment, code)
        if done.returncode:
            pytest.fail(f"{name} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    return call


@pytest.fixture
def hf(environment, work) -> Callable[..., str]:
    """Runs the `hf` command as user `demo` of the Hub and returns what it printed."""

    def call(*arguments: str) -> str:
        code = "from huggingface_hub.cli.hf import main; main()"
        done = preloaded().run(["hf", *arguments], work, environment, code)
        if done.returncode:
            pytest.fail(f"hf {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    return call
