"""What each process does of a step: together they take each row once, and each makes as many micro-batches."""

from pathlib import Path

import pytest
import torch

from hubtune.config.training import TrainConfig
from hubtune.data.tokenization import IGNORED, Example
from hubtune.errors import ConfigError
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.train.batching import BLANK, Batcher, MicroBatches, RowOrder, Rows
from hubtune.train.loss import ClassBatcher, SummedLoss
from hubtune.train.processes import Processes, require_rows
from tests.encoding import encode


@pytest.mark.parametrize("rows", [1, 2, 7, 16, 23, 61])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
@pytest.mark.parametrize(("batch_size", "accumulated"), [(8, 1), (1, 8), (4, 4), (6, 4)])
def test_the_processes_of_an_epoch_take_each_row_once(rows: int, count: int, batch_size: int, accumulated: int):
    settings = TrainConfig(batch_size=batch_size, gradient_accumulation=accumulated)
    order = RowOrder(rows, batch_size * accumulated, 10, seed=1)
    samplers = [MicroBatches(order, Processes(count, rank).share(settings)) for rank in range(count)]
    shares = [list(sampler) for sampler in samplers]

    taken = sorted(row for share in shares for batch in share for row in batch if row != BLANK)
    assert taken == list(range(rows))
    assert {len(share) for share in shares} == {len(samplers[0])}
    assert max(len(batch) for share in shares for batch in share) <= batch_size


def test_the_effective_batch_size_counts_the_rows_of_all_processes():
    settings = TrainConfig(batch_size=8, gradient_accumulation=3)

    for count in (1, 2, 3, 4, 6, 8, 12, 24):
        share = Processes(count, 0).share(settings)
        assert share.size * share.accumulated * count == 24
        assert share.size <= 8
    with pytest.raises(ConfigError, match=r"A step takes 24 rows .* which 5 processes cannot split evenly"):
        Processes(5, 0).share(settings)


def test_more_processes_than_rows_are_refused():
    require_rows(3, Processes(3, 0))
    with pytest.raises(ConfigError, match="started 4 processes, and there are 3 training rows"):
        require_rows(3, Processes(4, 0))


@pytest.mark.parametrize("own", [False, True])
def test_a_blank_row_has_no_target_and_no_gradient(llama: Path, own: bool):
    model = load_base(llama, "org/base", "fp32")
    rows = Rows(encode(["The baker rises."], load_tokenizer(llama, "org/base"), 64))
    batch = Batcher(0, packed=False, length=64)([rows[BLANK]])
    loss = SummedLoss(model.train(), own=own)

    made = loss(**batch)["loss"]
    made.backward()

    assert float(made.detach()) == 0
    assert len(batch["targets"]) == 0
    assert int(batch["labels"].ne(IGNORED).sum()) == 0
    grads = [weight.grad for weight in loss.parameters() if weight.grad is not None]
    assert grads
    assert all(not bool(grad.any()) for grad in grads)


@pytest.mark.parametrize("several", [None, 3])
def test_a_blank_row_of_a_classifier_counts_for_no_class(several: int | None):
    rows = Rows([Example("a", [5, 6], [2], truncated=False)])

    batch = ClassBatcher(0, several)([rows[BLANK]])

    assert len(batch["targets"]) == 0
    assert torch.all(batch["labels"] == IGNORED)
    assert len(ClassBatcher(0, several)([rows[0]])["targets"]) == (several or 1)
