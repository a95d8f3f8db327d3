"""A training that was killed goes on from its newest whole checkpoint and ends as if nothing had happened."""

import hashlib
import json
import os
import random
import re
import signal
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hubtune.errors import InterruptedTrainingError, TrainingError
from hubtune.train.loss import SummedLoss
from hubtune.train.trainer import trained_weights
from tests.listener import Listener
from tests.train.conftest import TEXTS_TO_DIVERGE_ON

OPTIONS = (
    *("train.epochs=3", "train.batch_size=1", "train.gradient_accumulation=3", "train.checkpoint_steps=2"),
    "train.lora.dropout=0.2",
)
WEIGHTS = "adapter_model.safetensors"

STOPPING_EARLY = (
    *("train.epochs=30", "train.batch_size=8", "train.learning_rate=0.05", "train.checkpoint_steps=2"),
    *("train.held_out_steps=1", "train.early_stopping=2"),
)
OTHERS = ("Zinc, quartz and onyx.", "No hive here; 1984.")


class Moments:
    """The moments of a training at which it can be killed: each forward of the model, each touch of a file of its run.

    Watching a process for these cannot be ended, so it is for a process of its own.
    """

    def __init__(self, folder: Path, kill_at: tuple[str, int] | None) -> None:
        self.seen = {"forward": 0, "file": 0}
        self._folder, self._kill_at = str(folder), kill_at
        torch.nn.modules.module.register_module_forward_pre_hook(self._forward)
        sys.addaudithook(self._event)

    def _forward(self, module: torch.nn.Module, *_: object) -> None:
        if isinstance(module, torch.nn.Embedding):
            self._pass("forward")

    def _event(self, name: str, arguments: tuple) -> None:
        touches = name in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")
        if touches and any(str(value).startswith(self._folder) for value in arguments):
            self._pass("file")

    def _pass(self, kind: str) -> None:
        self.seen[kind] += 1
        if (kind, self.seen[kind]) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def killed_at(train_on, llama: Path):
    """Trains a run in a copy of this process, which kills itself at a moment; without one, counts the moments."""

    def train_and_die(run, moment: tuple[str, int] | None, held_out: tuple[str, ...]) -> dict[str, int]:
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                moments = Moments(run.path, moment)
                train_on(llama, run=run, held_out=held_out)
                os.write(tell, json.dumps(moments.seen).encode())
            finally:
                os._exit(0)
        os.close(tell)
        _, status = os.waitpid(child, 0)
        with os.fdopen(told) as answer:
            seen = answer.read()
        assert os.waitstatus_to_exitcode(status) == (0 if moment is None else -signal.SIGKILL), moment
        return json.loads(seen) if seen else {}

    return train_and_die


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

    assert "Resuming after step 6 of 9" in again.listener.said
    assert (again.run.adapter_dir / WEIGHTS).read_bytes() == adapter
    assert again.record.losses[0] == whole.record.losses[0]
    assert again.record.files == whole.record.files


def test_a_resumed_run_holds_the_checkpoint_s_adapter_and_reads_just_the_rows_that_were_left(
    whole, train_on, llama: Path
):
    """Seen at each forward of the training: the rows, and at the first one, what is trained, by name and to the bit."""
    read: list[list[int]] = []
    held: dict[str, torch.Tensor] = {}

    def look(module: torch.nn.Module, inputs: tuple) -> None:
        if isinstance(module, SummedLoss) and module.model.training and not held:
            held.update({name: weight.detach().clone() for name, weight in trained_weights(module).items()})
        if isinstance(module, torch.nn.Embedding) and module.training:
            read.append(inputs[0].flatten().tolist())

    with torch.nn.modules.module.register_module_forward_pre_hook(look):
        begun = train_on(llama, *OPTIONS)
        all_rows, first = list(read), dict(held)
        read.clear()
        held.clear()
        again = train_on(llama, run=whole.run, resume=True)

    # Nine steps: the last of an epoch has two rows, the others three.
    assert len(all_rows) == 24
    assert read == all_rows[-2:]
    assert again.record.losses[-1] == begun.record.losses[-1]
    saved = load_file(whole.run.path / "checkpoints/checkpoint-8/trained.safetensors")
    assert held.keys() == saved.keys() == first.keys()
    assert all(torch.equal(held[name], saved[name]) for name in saved)
    assert not any(torch.equal(first[name], saved[name]) for name in saved)


def test_checkpoints_of_other_data_are_not_gone_on_from(whole, train_on, llama: Path):
    (whole.run.path / "data.json").write_text("{}")

    again = train_on(llama, run=whole.run, resume=True)

    assert not any("Resuming" in line for line in again.listener.said)
    assert any("No checkpoint is both complete and of this config" in line for line in again.listener.warned)


def test_training_anew_forgets_the_checkpoints(whole, train_on, llama: Path):
    again = train_on(llama, run=whole.run)

    assert not any("Resuming" in line for line in again.listener.said)
    assert any(f"hubtune train {whole.run.path} --resume" in line for line in again.listener.warned)
    assert again.record.files == whole.record.files


@pytest.mark.parametrize(
    ("step", "number", "code"),
    [
        (4, signal.SIGINT, 130),
        pytest.param(4, signal.SIGTERM, 143, marks=pytest.mark.full_trial),
        pytest.param(9, signal.SIGINT, 130, marks=pytest.mark.full_trial),
    ],
    ids=["midway", "by SIGTERM", "at the last step"],
)
def test_a_run_that_is_stopped_saves_the_step_under_way_and_says_how_to_go_on(
    train_on, new_run, llama: Path, step: int, number: signal.Signals, code: int
):
    run, asked = new_run(*OPTIONS, "train.checkpoint_steps=100"), []

    class Impatient(Listener):
        def __init__(self) -> None:
            super().__init__(self._count)

        def _count(self, note: str) -> None:
            asked.append(note)
            if len(asked) == step:
                os.kill(os.getpid(), number)

    with pytest.raises(InterruptedTrainingError, match="stopped after step") as caught:
        train_on(llama, run=run, listener=Impatient())

    assert f"hubtune train {run.path} --resume" in str(caught.value.hint)
    assert caught.value.exit_code == code
    (name,) = _checkpoints(run)
    assert name in (f"checkpoint-{step}", f"checkpoint-{step + 1}")
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


def test_a_training_that_was_saved_at_its_end_goes_on_without_another_step(train_on, new_run, llama: Path):
    """Early stopping ends this one at an even step, whose checkpoint is the newest."""
    run = new_run(*STOPPING_EARLY)
    whole = train_on(llama, run=run, held_out=OTHERS)
    assert max(_checkpoints(run)) == f"checkpoint-{whole.record.steps}"

    again = train_on(llama, run=run, held_out=OTHERS, resume=True)

    for name in ("files", "steps", "best_step", "losses", "held_out_losses"):
        assert getattr(again.record, name) == getattr(whole.record, name), name


@pytest.mark.parametrize(
    ("options", "held_out", "sample"),
    [(OPTIONS, (), 2), (STOPPING_EARLY, OTHERS, 1)],
    ids=["dropout in micro-batches", "stopping early"],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    train_on, new_run, killed_at, llama: Path, trials, full_trials: bool, options, held_out, sample: int
):
    """Killed at seeded moments: while a batch is in the model, or as a file of the run, or a checkpoint, is touched."""
    whole = train_on(llama, *options, held_out=held_out)
    moments, chance = killed_at(new_run(*options), None, held_out), random.Random(7)
    went_on = half_written = 0
    for trial in range(trials(sample, 10)):
        kind = ("file", "forward")[trial % 2]
        moment = (kind, chance.randint(moments[kind] // 4, moments[kind]))
        run = new_run(*options)
        killed_at(run, moment, held_out)
        half_written += any(run.path.glob("checkpoints/.unfinished/checkpoint-*"))

        again = train_on(llama, run=run, held_out=held_out, resume=True)

        went_on += any("Resuming after step" in line for line in again.listener.said)
        for name in ("files", "steps", "best_step", "losses", "held_out_losses", "tokens", "findings"):
            assert getattr(again.record, name) == getattr(whole.record, name), (moment, name)
        assert (again.run.adapter_dir / WEIGHTS).read_bytes() == (whole.run.adapter_dir / WEIGHTS).read_bytes()
        assert not (again.run.path / "checkpoints/.unfinished").exists()
    assert went_on > 0
    assert half_written > 0 or not full_trials
