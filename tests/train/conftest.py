"""Training runs on the tiny models."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hubtune.data.partition import EarlierRows
from hubtune.data.tokenization import Example
from hubtune.models.adapters import PinnedAdapter
from hubtune.models.pretrained import PinnedBase, load_tokenizer
from hubtune.records.base import Pin
from hubtune.records.results import HeldOutPoint, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.processes import ALONE, Processes
from hubtune.train.setup import TrainJob
from hubtune.train.training import train
from tests.encoding import encode
from tests.listener import Listener
from tests.sample_runs import BASE_REPO, sample_config, sample_pins, saying

TEXTS = tuple("{author}: {quote}".format_map(saying(number)) for number in range(8))

TEXTS_TO_DIVERGE_ON = ("The baker rises.", "A hive has no manager.", "The keeper keeps.", "Z")


@dataclass(frozen=True)
class Trained:
    run: RunDirectory
    record: TrainingRecord
    listener: Listener


@dataclass(frozen=True)
class Earlier:
    """Texts of an earlier task."""

    held_out: tuple[str, ...]
    matter: tuple[str, ...] = ()
    replayed: tuple[str, ...] = ()


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

    def fit(
        base: Path,
        *overrides: str,
        run: RunDirectory | None = None,
        texts: tuple[str, ...] = TEXTS,
        held_out: tuple[str, ...] = (),
        resume: bool = False,
        listener: Listener | None = None,
        earlier: Earlier | None = None,
        adapter: tuple[Pin, Path] | None = None,
        watch: Callable[[Sequence[HeldOutPoint]], None] | None = None,
        processes: Processes = ALONE,
    ) -> Trained:
        run = run or new_run("train.epochs=3", *overrides)
        config, listener = run.config(), listener or Listener()
        tokenizer = load_tokenizer(base, "org/base")

        def encoded(some: tuple[str, ...]) -> list[Example]:
            return encode(some, tokenizer, config.train.max_length)

        rows = None
        if earlier is not None:
            rows = EarlierRows(*(encoded(some) for some in (earlier.replayed, earlier.matter, earlier.held_out)), 0)
        job = TrainJob(
            run,
            PinnedBase(sample_pins().base, base, tokenizer),
            encoded(texts + (earlier.replayed if earlier else ())),
            listener,
            adapter=None if adapter is None else PinnedAdapter(*adapter),
            held_out=encoded(held_out),
            earlier=rows,
            resume=resume,
            watch=watch,
            processes=processes,
        )
        record = train(job)
        return Trained(run, record, listener)

    return fit


@pytest.fixture
def poisoned(neox: Path, tmp_path: Path) -> Path:
    """A base whose numbers overflow at one token, so that training is fine until a row holds it."""
    folder = Path(shutil.copytree(neox, tmp_path / "poisoned"))
    weights = load_file(folder / "model.safetensors")
    row = weights["gpt_neox.embed_in.weight"][load_tokenizer(folder, BASE_REPO).convert_tokens_to_ids("Z")]
    row[::2], row[1::2] = 3e38, -3e38
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
