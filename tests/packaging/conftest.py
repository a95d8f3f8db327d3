"""The built wheel, and an environment that holds only what the wheel requires without extras."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.once import Once

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(once: Once) -> Path:
    """Builds the wheel, with the build backend of this environment since a test has no network."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
        command += ["--wheel-dir", str(folder), str(CHECKOUT)]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    return next(once("wheel", build).glob("*.whl"))


@pytest.fixture(scope="session")
def bare(once: Once, wheel: Path) -> Path:
    """Makes a virtual environment with the wheel and its plain requirements, linked from this one; returns its bin."""
    return once("bare", lambda folder: _install(wheel, folder)) / "bin"


def _install(wheel: Path, folder: Path) -> None:
    venv.EnvBuilder(symlinks=True).create(folder)
    site = next(folder.glob("lib/python*/site-packages"))
    for distribution in _required("hubtune"):
        for entry in {Path(file.parts[0]) for file in distribution.files or [] if ".." not in file.parts}:
            source, link = Path(str(distribution.locate_file(entry))), site / entry
            if source.exists() and not link.exists() and entry.name != "__pycache__":
                link.symlink_to(source)
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps"]
    subprocess.run([*command, "--no-index", str(wheel)], check=True, capture_output=True)
    hf = folder / "bin" / "hf"
    shutil.copyfile(Path(sys.executable).parent / "hf", hf)
    text = hf.read_text()
    hf.write_text(f"#!{folder}/bin/python\n" + text.split("\n", 1)[1])
    hf.chmod(0o755)


@pytest.fixture
def clean_env(tmp_path: Path) -> dict[str, str]:
    """An environment without this process's Python paths, Hub settings and home."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    return {**keep, "HOME": str(tmp_path), "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}


def _required(name: str) -> Iterator[metadata.Distribution]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for text in metadata.requires(waiting.pop()) or []:
            requirement = Requirement(text)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name.lower() not in seen:
                seen.add(requirement.name.lower())
                waiting.append(requirement.name)
                yield metadata.distribution(requirement.name)
