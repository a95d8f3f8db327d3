"""Held-out rows are measured while training goes on, and can choose the weights that are kept."""

import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hubtune.models.adapters import load_adapter
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.records.results import HeldOutPoint, LossPoint
from hubtune.train.training import diagnose
from tests.encoding import encode
from tests.train.conftest import TEXTS

OTHERS = ("Zinc, quartz and onyx.", "No hive here; 1984.")
STEEP = ("train.epochs=30", "train.batch_size=8", "train.learning_rate=0.05", "train.held_out_steps=1")


def test_the_held_out_loss_is_measured_after_each_epoch_and_changes_no_weight(train_on, llama: Path):
    plain, measured = train_on(llama), train_on(llama, held_out=OTHERS)

    assert [point.step for point in measured.record.held_out_losses] == [2, 4, 6]
    assert measured.record.files == plain.record.files
    assert plain.record.held_out_losses == []


def test_who_watches_sees_all_measurements_so_far_and_changes_no_weight(train_on, llama: Path):
    seen = []
    plain = train_on(llama, held_out=OTHERS)
    watched = train_on(llama, held_out=OTHERS, watch=lambda points: seen.append([point.step for point in points]))

    assert seen == [[2], [2, 4], [2, 4, 6]]
    assert watched.record.files == plain.record.files


def test_what_a_watcher_raises_ends_the_training_and_nothing_is_kept(new_run, train_on, llama: Path):
    class EnoughError(Exception):
        pass

    def watch(points):
        raise EnoughError

    run = new_run("train.epochs=3")
    with pytest.raises(EnoughError):
        train_on(llama, run=run, held_out=OTHERS, watch=watch)
    assert not run.adapter_dir.exists()
    assert not run.checkpoints_dir.exists()


class Peak(TorchDispatchMode):
    """The most bytes of torch's memory that results of operations held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self._live: list[weakref.ref[torch.Tensor]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self._live += [weakref.ref(one) for one in tree_leaves(made) if isinstance(one, torch.Tensor)]
        alive = [(ref, one) for ref in self._live if (one := ref()) is not None]
        self._live = [ref for ref, _ in alive]
        # Several tensors may look at one piece of memory.
        pieces = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for _, one in alive}
        self.bytes = max(self.bytes, sum(pieces.values()))
        return made


def test_measuring_many_held_out_rows_takes_no_more_memory_than_few(train_on, llama: Path):
    peaks = []
    for rows in (OTHERS * 2, OTHERS * 80):
        with Peak() as peak:
            train_on(llama, "train.epochs=1", held_out=rows)
        peaks.append(peak.bytes)

    # The logits of the rows would be several times the peak of a training on eight.
    assert peaks[0] > 0
    assert peaks[1] < 1.1 * peaks[0]


def test_the_measured_loss_is_the_model_s_own(train_on, llama: Path):
    trained = train_on(llama, held_out=OTHERS)
    model = load_adapter(load_base(llama, "org/base", "fp32"), trained.run.adapter_dir, "org/adapter")
    rows = encode(OTHERS, load_tokenizer(llama, "org/base"), 64)

    total = sum(model(input_ids=_tensor(row), labels=_tensor(row)).loss.item() * row.learned for row in rows)

    expected = total / sum(row.learned for row in rows)
    assert trained.record.held_out_losses[-1].loss == pytest.approx(expected, rel=1e-4)


def _tensor(row):
    import torch

    return torch.tensor([row.input_ids])


def test_early_stopping_keeps_the_best_weights_and_says_which(train_on, llama: Path):
    stopped = train_on(llama, *STEEP, "train.early_stopping=2", held_out=OTHERS)
    points = stopped.record.held_out_losses
    best = min(points, key=lambda point: point.loss)

    assert stopped.record.best_step == best.step
    # One step an epoch; what was not trained any more is not counted.
    assert stopped.record.steps == stopped.record.epochs == best.step + 2 < 30
    rows = encode(TEXTS, load_tokenizer(llama, "org/base"), 64)
    assert stopped.record.tokens == stopped.record.steps * sum(row.learned for row in rows)
    # The same steps, ended where the best was, though the rate would have fallen on: the weights were not trained on.
    weights = load_file(stopped.run.adapter_dir / "adapter_model.safetensors")
    model = load_adapter(load_base(llama, "org/base", "fp32"), stopped.run.adapter_dir, "org/adapter")
    rows = encode(OTHERS, load_tokenizer(llama, "org/base"), 64)
    total = sum(model(input_ids=_tensor(row), labels=_tensor(row)).loss.item() * row.learned for row in rows)
    assert total / sum(row.learned for row in rows) == pytest.approx(best.loss, rel=1e-4)
    assert weights


def _curve(*losses: float) -> list[LossPoint]:
    return [LossPoint(step=step, loss=loss) for step, loss in enumerate(losses, 1)]


def _held_out(*losses: float) -> list[HeldOutPoint]:
    return [HeldOutPoint(step=10 * step, loss=loss) for step, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "held_out", "steps", "names"),
    [
        (_curve(4, 3, 2.9, 2.9), _held_out(3.1, 3.0), 100, []),
        (_curve(4, 3, 2, 1), _held_out(3.1, 2.9, 3.4), 100, ["overfitting"]),
        (_curve(4, 3, 2, 0.5), _held_out(2.9), 100, ["overfitting"]),
        (_curve(4, 9, 8, 5), [], 100, ["learning rate too high"]),
        (_curve(4, 4, 4, 4), [], 100, ["loss did not fall"]),
        (_curve(4, *[4.1, 3.9] * 10), [], 100, ["loss did not fall"]),
        (_curve(4, *[3.8] * 30), [], 100, []),
        (_curve(*(20 - step for step in range(15))), [], 100, ["underfitting"]),
        (_curve(4, 3), [], 7, ["few steps"]),
    ],
)
def test_the_curves_are_told_in_words_with_the_numbers(losses, held_out, steps: int, names: list[str]):
    findings = diagnose(losses, held_out, steps)

    assert [finding.name for finding in findings] == names
    assert all(any(sign.isdigit() for sign in finding.evidence) and finding.advice for finding in findings)
