"""Perplexity is what a plain loop over single rows gives, at any batch size."""

import math
from pathlib import Path

import pytest
import torch

from hubtune.data.tokenization import Example
from hubtune.evaluate.bench import likelihoods
from hubtune.models.pretrained import load_base, load_tokenizer, pad_id
from hubtune.train.batching import Batcher
from hubtune.train.loss import SummedLoss
from tests.sample_runs import BASE_REPO


def _plain(model, examples: list[Example]) -> tuple[list[float], list[int]]:
    """Sums each row's negative log-likelihood token by token, alone, without padding or mask."""
    sums = []
    model.eval()
    for example in examples:
        ids = torch.tensor([example.input_ids])
        with torch.no_grad():
            chances = torch.log_softmax(model(ids).logits[0].double(), dim=-1)
        sums.append(-sum(float(chances[at, token]) for at, token in enumerate(example.input_ids[1:])))
    return sums, [len(example.input_ids) - 1 for example in examples]


@pytest.fixture
def model(tiny_model: Path):
    return load_base(tiny_model, BASE_REPO, "fp32")


@pytest.fixture
def padding(tiny_model: Path) -> int:
    return pad_id(load_tokenizer(tiny_model, BASE_REPO))


@pytest.mark.parametrize("batch_size", [1, 7, 16])
def test_perplexity_equals_a_plain_loop_s(model, examples, padding: int, batch_size: int):
    sums, tokens = _plain(model, examples)

    found = likelihoods(model, examples, padding, batch_size)

    assert found.perplexity == pytest.approx(math.exp(sum(sums) / sum(tokens)), rel=1e-4)
    assert found.nll.tolist() == pytest.approx(sums, rel=1e-4)
    assert found.tokens.tolist() == tokens


def test_packed_rows_give_the_same_perplexity(model, examples, padding: int):
    """Training measures held-out rows packed, by the short way to the loss."""
    sums, tokens = _plain(model, examples)
    batch = Batcher(padding, packed=True, length=64)(examples)
    assert len(batch["input_ids"]) < len(examples)

    with torch.no_grad():
        found = float(SummedLoss(model.eval())(**batch)["loss"])

    assert math.exp(found / sum(tokens)) == pytest.approx(math.exp(sum(sums) / sum(tokens)), rel=1e-4)


def test_the_row_s_values_stand_at_the_row_s_place(model, examples, padding: int):
    whole = likelihoods(model, examples, padding, 4)
    backwards = likelihoods(model, examples[::-1], padding, 4)

    assert backwards.nll[::-1].tolist() == pytest.approx(whole.nll.tolist(), rel=1e-4)
    assert backwards.tokens[::-1].tolist() == whole.tokens.tolist()


def test_padding_never_counts(model, examples, padding: int):
    """The shortest row is measured beside the longest, and with another padding token."""
    shortest, longest = (pick(examples, key=lambda row: len(row.input_ids)) for pick in (min, max))
    alone = likelihoods(model, [shortest], padding, 1)

    for token in (padding, 11):
        beside = likelihoods(model, [shortest, longest], token, 2)
        assert beside.nll[0] == pytest.approx(alone.nll[0], rel=1e-4)
        assert beside.tokens[0] == alone.tokens[0]


def test_every_token_counts_the_same_whatever_its_row(model, examples, padding: int):
    found = likelihoods(model, examples, padding, 8)

    assert found.perplexity == pytest.approx(math.exp(found.nll.sum() / found.tokens.sum()))
    assert found.perplexity != pytest.approx(math.exp((found.nll / found.tokens).mean()), rel=1e-4)


def test_masked_labels_are_left_out(model, examples, padding: int):
    row = max(examples, key=lambda row: len(row.input_ids))
    half = len(row.input_ids) // 2
    masked = Example(row.text, row.input_ids, [-100] * half + row.labels[half:], False)

    found = likelihoods(model, [masked], padding, 1)

    assert found.tokens.tolist() == [len(row.input_ids) - half]
    assert found.nll[0] < likelihoods(model, [row], padding, 1).nll[0]


def test_the_log_softmax_is_taken_in_fp32_for_a_bf16_model(tiny_model: Path, examples, padding: int):
    model = load_base(tiny_model, BASE_REPO, "bf16")
    with torch.no_grad():
        ids = torch.tensor([examples[-1].input_ids])
        chances = torch.log_softmax(model(ids).logits[0].float(), dim=-1)
    expected = -sum(float(chances[at, token]) for at, token in enumerate(examples[-1].input_ids[1:]))

    assert likelihoods(model, examples[-1:], padding, 1).nll[0] == pytest.approx(expected, rel=1e-5)


def test_logits_are_let_go_batch_by_batch(model, examples, padding: int):
    """No batch's logits outlive the next batch, so memory does not grow with the rows."""
    import weakref

    alive: list[weakref.ref] = []
    most = 0

    def keep_watch(_module, _inputs, output) -> None:
        nonlocal most
        most = max(most, sum(ref() is not None for ref in alive))
        alive.append(weakref.ref(output.logits))

    with_hook = model.register_forward_hook(keep_watch)
    likelihoods(model, examples, padding, 2)
    with_hook.remove()

    assert len(alive) == math.ceil(len(examples) / 2)
    assert most <= 1


def test_each_batch_is_reported(model, examples, padding: int):
    batches = 0

    def count() -> None:
        nonlocal batches
        batches += 1

    likelihoods(model, examples, padding, 7, count)

    assert batches == 4
