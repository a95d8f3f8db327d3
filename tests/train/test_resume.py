"""A training that was killed goes on from its newest whole checkpoint and ends as if nothing had happened."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubtune.errors import InterruptedTrainingError, TrainingError
from tests.listener import Listener
from tests.train.conftest import TEXTS_TO_DIVERGE_ON

OPTIONS = (
    *("train.epochs=3", "train.batch_size=1", "train.gradient_accumulation=3", "train.checkpoint_steps=2"),
    "train.lora.dropout=0.2",
)
WEIGHTS = "adapter_model.safetensors"

# Trains, and kills itself at the batch of that number, or while that checkpoint is being written.
_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from hubtune.models.load import load_tokenizer
from hubtune.records.rundir import RunDirectory
from hubtune.train.training import train
from tests.encoding import encode
from tests.listener import Listener
from tests.sample_runs import sample_pins
from tests.train.conftest import TEXTS

folder, base, batch = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
run = RunDirectory.open(folder)
config, tokenizer = run.config(), load_tokenizer(base, "org/base")
seen = 0

def count(module, *_):
    global seen
    if isinstance(module, torch.nn.Embedding) and module.weight.requires_grad is False:
        seen += 1
        if seen == batch:
            os.kill(os.getpid(), signal.SIGKILL)

torch.nn.modules.module.register_module_forward_pre_hook(count)
train(run, config, sample_pins().base, base, tokenizer, encode(TEXTS, tokenizer, config.train.max_length), Listener())
"""


@pytest.fixture
def whole(train_on, llama: Path):
    return train_on(llama, *OPTIONS)


def _checkpoints(run) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def test_the_last_checkpoints_are_kept_and_each_lists_its_files(whole):
    # Nine steps, one checkpoint after every second; the last step's is the adapter itself.
    assert _checkpoints(whole.run) == ["checkpoint-6", "checkpoint-8"]
    newest = whole.run.path / "checkpoints/checkpoint-8"
    manifest = json.loads((newest / "manifest.json").read_text())
    assert manifest["step"] == 8
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in newest.iterdir()}
    assert {name: digest for name, digest in found.items() if name != "manifest.json"} == manifest["files"]


def test_a_run_goes_on_from_the_newest_whole_checkpoint_to_the_same_bytes(whole, train_on, llama: Path):
    adapter = (whole.run.adapter_dir / WEIGHTS).read_bytes()
    newest = whole.run.path / "checkpoints/checkpoint-8"
    (newest / "trained.safetensors").write_bytes(b"half of it")

    again = train_on(llama, run=whole.run, resume=True)

    assert "Going on after step 6 of 9" in again.listener.said
    assert (again.run.adapter_dir / WEIGHTS).read_bytes() == adapter
    assert again.record.losses[0] == whole.record.losses[0]
    assert again.record.files == whole.record.files


def test_checkpoints_of_other_data_are_not_gone_on_from(whole, train_on, llama: Path):
    (whole.run.path / "data.json").write_text("{}")

    again = train_on(llama, run=whole.run, resume=True)

    assert not any("Going on" in line for line in again.listener.said)


def test_training_anew_forgets_the_checkpoints(whole, train_on, llama: Path):
    again = train_on(llama, run=whole.run)

    assert not any("Going on" in line for line in again.listener.said)
    assert again.record.files == whole.record.files


def test_a_run_that_is_stopped_saves_the_step_under_way_and_says_how_to_go_on(train_on, new_run, llama: Path):
    run, asked = new_run(*OPTIONS, "train.checkpoint_steps=100"), []

    class Impatient(Listener):
        def __init__(self) -> None:
            super().__init__(self._count)

        def _count(self, note: str) -> None:
            asked.append(note)
            if len(asked) == 4:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedTrainingError, match="stopped after step") as caught:
        train_on(llama, run=run, listener=Impatient())

    assert "--resume" in str(caught.value.hint)
    assert caught.value.exit_code == 130
    (name,) = _checkpoints(run)
    assert name in ("checkpoint-4", "checkpoint-5")
    assert not run.adapter_dir.exists()
    whole = train_on(llama, *OPTIONS)
    assert train_on(llama, run=run, resume=True).record.files[WEIGHTS] == whole.record.files[WEIGHTS]


def test_a_diverged_run_keeps_its_last_good_checkpoint_and_makes_none_after_it(train_on, new_run, poisoned: Path):
    run = new_run(
        "train.seed=43",
        "train.batch_size=1",
        "train.checkpoint_steps=1",
        "train.keep_checkpoints=9",
        "train.logging_steps=9",
    )

    with pytest.raises(TrainingError, match="diverged") as caught:
        train_on(poisoned, run=run, texts=TEXTS_TO_DIVERGE_ON)

    step = int(re.search(r"at step (\d+)", str(caught.value))[1])
    assert _checkpoints(run) == [f"checkpoint-{number}" for number in range(1, step)]


def test_a_killed_run_goes_on_to_the_same_bytes(whole, train_on, new_run, llama: Path, trials):
    """Nine steps of three micro-batches, killed at seeded ones; a resumed run never trains a step twice over."""
    batches = random.Random(7).sample(range(4, 26), trials(2, 10))
    for batch in batches:
        run = new_run(*OPTIONS)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(run.path), str(llama), str(batch)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

        again = train_on(llama, run=run, resume=True)

        assert again.record.files == whole.record.files, batch
        assert (again.run.adapter_dir / WEIGHTS).read_bytes() == (whole.run.adapter_dir / WEIGHTS).read_bytes()
