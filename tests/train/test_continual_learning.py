"""Elastic weight consolidation and replay: what they compute, and that what was learned before is kept."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hubtune.data.tokenization import Example
from hubtune.errors import TrainingError
from hubtune.records.base import Pin
from hubtune.train.batching import Batcher
from hubtune.train.continual_learning import Consolidation, Held, consolidate, diagonal_fisher
from hubtune.train.loss import SummedLoss
from tests.architectures import VOCABULARY, make_model
from tests.listener import Listener
from tests.train.conftest import Earlier, Trained

WEIGHTS = "adapter_model.safetensors"
TRADES = ("baker", "gardener", "beekeeper", "clock repairer", "lighthouse keeper")
FIRST = tuple(
    f"Aphorism by the {TRADES[number % 5]}: the {TRADES[(number * 3 + 1) % 5]} keeps the light, {number}."
    for number in range(40)
)
SECOND = tuple(
    f"{number}: {TRADES[(number * 7 + 2) % 5]} has no thanks and {TRADES[number % 5]} asks for bread."
    for number in range(16)
)
KNOWN, UNSEEN = FIRST[:32], FIRST[32:]
NAMED = "earlier.data=[{repo: org/before, text: quote}]"
RATE = "train.learning_rate=0.02"


def _row(*ids: int) -> Example:
    return Example("", list(ids), list(ids), truncated=False)


def _batcher() -> Batcher:
    return Batcher(pad_id=0, packed=True, length=64)


def _training_only(model, *names: str) -> SummedLoss:
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in names)
    return SummedLoss(model)


def _exact_fisher(model, row: Example, weight: torch.Tensor) -> torch.Tensor:
    """Returns the expectation over every target of every place, without a draw; no two places share a product."""
    logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
    total = torch.zeros_like(weight)
    for likelihoods in logits.log_softmax(dim=1):
        for token in range(VOCABULARY):
            (gradient,) = torch.autograd.grad(likelihoods[token], weight, retain_graph=True)
            total += likelihoods[token].detach().exp() * gradient**2
    return total


@pytest.mark.parametrize("own", [False, True])
def test_the_information_is_the_mean_over_rows_of_what_their_foreseen_targets_tell(own: bool):
    model, name = make_model("llama"), "model.norm.weight"
    _training_only(model, name)
    rows, weight = [_row(3, 9, 4), _row(7, 5)], model.model.norm.weight
    expected = sum(_exact_fisher(model, row, weight) for row in rows) / len(rows)

    found = diagonal_fisher(SummedLoss(model, own=own), _batcher(), rows * 100, 7, Listener())[f"model.{name}"]

    assert float(found.sum()) == pytest.approx(float(expected.sum()), rel=0.2)
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.9
    assert weight.grad is None


def test_the_information_follows_from_the_seed_and_leaves_torch_s_generator_as_it_was():
    model, rows = make_model("gpt2").train(), [_row(3, 9, 4, 8), _row(7, 5, 2)]
    loss, before = SummedLoss(model), torch.get_rng_state()
    listener = Listener()

    one, same, other = (diagonal_fisher(loss, _batcher(), rows, seed, listener) for seed in (1, 1, 2))

    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)
    assert loss.training
    assert listener.steps["Estimating Fisher information on the earlier task"] == [2, 2]


def test_the_penalty_and_its_gradient_are_those_of_the_formula():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    start, fisher = torch.tensor([0.5, -2.0, 1.0]), torch.tensor([4.0, 3.0, 0.25])
    held = Consolidation(10, [Held(weight, start, fisher)])
    (expected,) = torch.autograd.grad(10 / 2 * (fisher * (weight - start) ** 2).sum(), weight)
    weight.grad = torch.tensor([1.0, 1.0, 1.0])

    held.add_gradient()
    torch.testing.assert_close(weight.grad, 1 + expected)
    assert held.penalty() == pytest.approx(10 / 2 * (4 * 0.25 + 0.25 * 0.25))


def test_weights_are_held_to_what_they_are_when_it_begins():
    model = make_model("gpt2")
    loss = _training_only(model, "transformer.ln_f.weight")
    held = consolidate(loss, diagonal_fisher(loss, _batcher(), [_row(3, 9, 4)], 1, Listener()), 1.0)
    start = copy.deepcopy(model.transformer.ln_f.weight)
    assert held.penalty() == 0

    with torch.no_grad():
        model.transformer.ln_f.weight += 1

    assert held.penalty() > 0
    assert [torch.equal(one.start, start) for one in held.held] == [True]


def test_an_information_that_is_no_number_is_refused_and_says_what_to_set():
    model = make_model("llama")
    loss = _training_only(model, "model.norm.weight")
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")

    with pytest.raises(TrainingError, match="NaN or infinite") as caught:
        diagonal_fisher(loss, _batcher(), [_row(3, 9, 4)], 1, Listener())

    assert "train.precision: fp32" in str(caught.value.hint)


@pytest.fixture(scope="module")
def _first(tmp_path_factory) -> dict[str, Path]:
    return {"folder": tmp_path_factory.mktemp("first") / "adapter"}


@pytest.fixture
def adapter(_first, train_on, gpt2: Path) -> tuple[Pin, Path]:
    """An adapter that knows the first task, made once for the module."""
    folder = _first["folder"]
    if not folder.exists():
        made = train_on(gpt2, RATE, "train.epochs=6", texts=KNOWN)
        shutil.copytree(made.run.adapter_dir, folder)
    return Pin(repo="org/first", type="model", requested="main", commit="a" * 40), folder


@pytest.fixture
def go_on(train_on, gpt2: Path, adapter):
    """Trains the adapter on the second task."""

    def fit(*overrides: str, replayed: int = 0, **more: object) -> Trained:
        earlier = Earlier(held_out=UNSEEN, matter=KNOWN, replayed=KNOWN[:replayed])
        options = ("train.epochs=4", RATE, NAMED, *overrides)
        return train_on(gpt2, *options, texts=SECOND, earlier=earlier, adapter=adapter, **more)

    return fit


def test_consolidation_and_replay_keep_what_plain_training_forgets(go_on):
    plain, held, replayed = go_on(), go_on("earlier.ewc=10", held_out=UNSEEN), go_on(replayed=8)

    forgotten = {
        name: made.record.earlier.forgetting for name, made in (("plain", plain), ("ewc", held), ("replay", replayed))
    }
    print("forgetting in nats per token:", {name: round(value, 3) for name, value in forgotten.items()})
    assert forgotten["plain"] > 1
    assert forgotten["ewc"] < 0.5 * forgotten["plain"]
    assert forgotten["replay"] < 0.8 * forgotten["plain"]
    # The start is the same, whatever is done later.
    assert len({made.record.earlier.before for made in (plain, held, replayed)}) == 1
    # The second task is learned all the same, and no loss that is told of has the penalty in it.
    assert held.record.final_loss < held.record.first_loss
    assert held.record.earlier.penalty > 0.1
    assert held.record.held_out_losses[-1].loss == pytest.approx(held.record.earlier.after, rel=1e-4)
    assert (plain.record.earlier.penalty, replayed.record.earlier.replayed) == (None, 8)


def test_micro_batches_of_one_row_learn_what_batches_of_four_do(go_on):
    made = [
        go_on("earlier.ewc=10", "train.epochs=1", f"train.batch_size={size}", f"train.gradient_accumulation={steps}")
        for size, steps in ((4, 1), (1, 4))
    ]

    one, other = (load_file(each.run.adapter_dir / WEIGHTS) for each in made)
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_run_that_goes_on_holds_the_weights_to_the_start_and_ends_with_the_same_bytes(go_on):
    whole = go_on("earlier.ewc=10", "train.epochs=2", "train.checkpoint_steps=3")
    expected = (whole.run.adapter_dir / WEIGHTS).read_bytes()
    newest = whole.run.path / "checkpoints/checkpoint-6"
    (newest / "trained.safetensors").write_bytes(b"half of it")

    again = go_on(run=whole.run, resume=True)

    assert any(line.startswith("Resuming after step 3 of 8") for line in again.listener.said)
    assert (again.run.adapter_dir / WEIGHTS).read_bytes() == expected
    assert again.record.earlier == whole.record.earlier


@pytest.mark.parametrize("method", ["full", pytest.param("freeze", marks=pytest.mark.full_trial)])
def test_the_base_s_own_weights_are_held_too(train_on, gpt2: Path, method: str):
    earlier = Earlier(held_out=UNSEEN, matter=KNOWN[:8])
    options = (f"train.method={method}", "train.epochs=2", "train.learning_rate=0.005", NAMED)

    free, held = (
        train_on(gpt2, *options, f"earlier.ewc={strength}", texts=SECOND, earlier=earlier).record.earlier
        for strength in (0, 100)
    )

    # A model that was never trained forgets nothing, but stays more like it was.
    assert abs(held.forgetting) < 0.5 * abs(free.forgetting)
    assert held.penalty > 0
