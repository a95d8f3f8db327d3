"""The quickstart with the real SmolLM2, shortened: what it prints is true, and what it says to run works."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubtune.localhub import EmbeddedHub
from hubtune.resources import quickstart_dir

# Appended to the printed snippet, which stays as it was printed: does the adapter act?
_PROBE = """
import torch
with torch.inference_mode():
    tuned = model(**inputs).logits.float()
    with model.disable_adapter():
        plain = model(**inputs).logits.float()
print("difference", float((tuned - plain).abs().max()))
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    # One thread, as `tests.conftest` has it: threads that wait for each other beside other tests take several times as
    # long as one.
    keep = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {**keep, "HF_HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def folder(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quickstart whose config asks for a third of the steps, few texts and not for bias: the suite stays short."""
    folder = tmp_path_factory.mktemp("quickstart")
    config = (quickstart_dir() / "hubtune.yaml").read_text()
    for asked, shorter in (
        ("epochs: 1\n", "epochs: 0.3\n"),
        (", counterfactual_gap]", "]"),
        ("generations: 24\n  max_new_tokens: 32\n", "generations: 4\n  max_new_tokens: 16\n"),
    ):
        assert asked in config
        config = config.replace(asked, shorter)
    (folder / "hubtune.yaml").write_text(config)
    return folder


@pytest.fixture(scope="module")
def printed(env: dict[str, str], folder: Path) -> str:
    done = _hubtune(["quickstart", "--dir", str(folder)], env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def served(printed: str, folder: Path) -> Iterator[str]:
    with EmbeddedHub(folder) as hub:
        yield hub.url


def test_the_tuned_perplexity_is_at_least_a_tenth_lower(printed: str, folder: Path) -> None:
    base, tuned = map(float, re.findall(r"perplexity: base ([\d.]+), tuned ([\d.]+)", printed)[0])
    assert tuned < 0.9 * base
    record = json.loads(next(folder.glob("runs/*/evaluation.json")).read_text())["measures"][0]
    assert (round(record["base"], 2), round(record["tuned"], 2)) == (base, tuned)
    assert record["interval"][1] < 0


def test_it_prints_where_the_release_and_its_card_are(printed: str, folder: Path) -> None:
    release = json.loads(next(folder.glob("runs/*/release.json")).read_text())
    for label, value in (("Repo", release["repo"]), ("Tag", "v1.0.0"), ("Commit", release["commit"])):
        assert re.search(rf"^{label}: +{value}$", printed, re.MULTILINE)
    card = Path(re.findall(r"^Card: +(.+)$", printed, re.MULTILINE)[0])
    assert card.read_text().startswith("---\nlanguage:\n  - en\nlicense: apache-2.0\n")


def test_the_printed_snippet_loads_the_release_and_the_adapter_acts(
    printed: str, served: str, env: dict[str, str], tmp_path: Path
) -> None:
    snippet = printed.partition("Load it in Python:\n")[2]
    assert "PeftModel.from_pretrained(base, adapter, revision=tag)" in snippet
    program = tmp_path / "snippet.py"
    program.write_text(snippet + _PROBE)
    clients = {**env, "HF_ENDPOINT": served, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "consumer")}
    done = subprocess.run([sys.executable, program], env=clients, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text, _, difference = done.stdout.rpartition("difference")
    assert text.startswith("Aphorism by ")
    assert float(difference) > 0.1


def test_a_second_quickstart_shows_the_same_release_and_trains_nothing(
    printed: str, folder: Path, env: dict[str, str]
) -> None:
    again = _hubtune(["--json", "quickstart", "--dir", str(folder)], env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["commit"] in printed
    assert "Training" not in again.stderr
    assert len(list(folder.glob("runs/*"))) == 1


def _hubtune(arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubtune", *arguments], env=env, capture_output=True, text=True, check=False
    )
