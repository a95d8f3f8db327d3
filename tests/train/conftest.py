"""Training runs on the tiny models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubtune.models.load import load_tokenizer
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord
from hubtune.train.training import train
from tests.encoding import encode
from tests.listener import Listener
from tests.sample_runs import sample_config, sample_pins, saying

TEXTS = tuple("{author}: {quote}".format_map(saying(number)) for number in range(8))


@dataclass(frozen=True)
class Trained:
    run: RunDirectory
    record: TrainingRecord
    listener: Listener


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., RunDirectory]:
    def make(*overrides: str) -> RunDirectory:
        run = RunDirectory.create(sample_config(*overrides), parent=tmp_path / "runs")
        run.write(sample_pins())
        return run

    return make


@pytest.fixture
def train_on(new_run) -> Callable[..., Trained]:
    """Trains a run of its own on eight rows, three epochs unless an override says otherwise."""

    def fit(base: Path, *overrides: str, run: RunDirectory | None = None, texts: tuple[str, ...] = TEXTS) -> Trained:
        run = run or new_run("train.epochs=3", *overrides)
        config, listener = run.config(), Listener()
        tokenizer = load_tokenizer(base, "org/base")
        examples = encode(texts, tokenizer, config.train.max_length)
        return Trained(run, train(run, config, sample_pins().base, base, tokenizer, examples, listener), listener)

    return fit
