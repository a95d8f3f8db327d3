"""Each example config is one that this version accepts."""

from pathlib import Path

import pytest

from hubtune.config.load import load_config
from hubtune.errors import HubUnreachableError
from hubtune.sweep.plan import load_sweep

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIGS = sorted(EXAMPLES.glob("*/hubtune.yaml"))


def test_the_examples_are_there():
    assert {path.parent.name for path in CONFIGS} >= {"quickstart", "quotes", "sweep"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_an_example_config_validates(path):
    load_config(path)


def test_the_quotes_example_is_the_tutorials_job_at_a_fixed_commit():
    config = load_config(EXAMPLES / "quotes/hubtune.yaml")
    assert config.base.repo == "openai-community/gpt2-medium"
    assert config.base.revision == "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"
    assert [entry.repo for entry in config.data] == ["Abirate/english_quotes"]


def test_the_sweep_example_is_the_tutorials_sweep():
    sweep = load_sweep(EXAMPLES / "sweep/sweep.yaml").sweep
    assert sweep.count == 27
    assert sweep.parameters == {
        "train.learning_rate": [1e-5, 2e-5, 5e-5],
        "train.batch_size": [4, 8, 16],
        "train.warmup": [0.03, 0.06, 0.1],
    }


def test_the_sweep_example_is_read_by_the_command(bare):
    shown = bare.hubtune("sweep", EXAMPLES / "sweep/sweep.yaml", "--storage", "sweep.db")
    shown.refused(HubUnreachableError, "http://127.0.0.1:9")


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_quotes_example_is_read_by_the_command(bare, command):
    # No public Hub is asked: the endpoint is one where nothing listens.
    shown = bare.hubtune(command, EXAMPLES / "quotes/hubtune.yaml")
    shown.refused(HubUnreachableError, "http://127.0.0.1:9")
