"""A training in several processes gives the numbers of one: each takes a share of every step's rows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hubtune.config.training import TrainConfig
from hubtune.data.tokenization import IGNORED, Example
from hubtune.errors import ConfigError, RecordError
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.batching import BLANK, Batcher, MicroBatches, RowOrder, Rows
from hubtune.train.loss import ClassBatcher, SummedLoss
from hubtune.train.processes import Processes, require_rows
from tests.encoding import encode
from tests.train.conftest import Earlier
from tests.two_processes import in_two_processes

WEIGHTS = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}


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


@pytest.fixture
def launched(train_on, tmp_path: Path) -> Callable[..., TrainingRecord]:
    """Trains in two copies of this process, which find each other as those of a launcher do; returns the record."""

    def launch(base: Path, run: RunDirectory, **given: object) -> TrainingRecord:
        def train(_rank: int) -> TrainingRecord:
            return train_on(base, run=run, processes=Processes.join(run.config()), **given).record

        return in_two_processes(train, tmp_path)[0]

    return launch


FP32 = ("train.precision=fp32", "train.logging_steps=1", "train.held_out_steps=2")
EARLIER = ("earlier.data=[{repo: org/before, text: quote}]", "earlier.ewc=10")
CASES = {
    "packed": ("train.batch_size=4",),
    "padded": ("train.batch_size=4", "train.packing=false"),
    "every weight": ("train.batch_size=4", "train.method=full"),
    "a last step of few rows": ("train.batch_size=1", "train.gradient_accumulation=6"),
    "checkpointed activations": ("train.batch_size=4", "train.gradient_checkpointing=true"),
    "micro-batches by memory": ("train.batch_size=auto",),
    "frozen layers": ("train.batch_size=4", "train.method=freeze", "train.last_blocks=1"),
}
HELD_OUT = ("Zinc, quartz and onyx.", "No hive here; 1984.", "The tailor.", "A ferry crosses.", "Work is done.")


def _like(record: TrainingRecord, other: TrainingRecord) -> None:
    for curve in ("losses", "held_out_losses"):
        points, others = getattr(record, curve), getattr(other, curve)
        assert [point.step for point in points] == [point.step for point in others]
        assert [point.loss for point in points] == pytest.approx([point.loss for point in others], abs=1e-5), curve
    for name in ("steps", "epochs", "tokens", "read_tokens", "best_step", "trainable_parameters", "total_parameters"):
        assert getattr(record, name) == getattr(other, name), name


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(train_on, launched, new_run, llama: Path, case: str):
    options = ("train.epochs=3", *FP32, *CASES[case])
    alone = train_on(llama, run=new_run(*options), held_out=HELD_OUT)

    record = launched(llama, new_run(*options), held_out=HELD_OUT)

    _like(record, alone.record)
    assert record.processes is not None
    assert (record.processes.count, record.processes.backend) == (2, "gloo")
    assert alone.record.processes is None


def test_an_earlier_task_is_consolidated_and_replayed_as_in_one_process(train_on, launched, new_run, llama: Path):
    earlier = Earlier(HELD_OUT, matter=HELD_OUT[:3], replayed=HELD_OUT[3:])
    options = ("train.epochs=4", *FP32, "train.batch_size=2", *EARLIER)
    alone = train_on(llama, run=new_run(*options), earlier=earlier).record

    record = launched(llama, new_run(*options), earlier=earlier)

    _like(record, alone)
    assert record.earlier is not None
    assert alone.earlier is not None
    assert record.earlier.penalty == pytest.approx(alone.earlier.penalty, rel=1e-4)
    assert record.earlier.row_after == pytest.approx(alone.earlier.row_after, abs=1e-4)


def test_early_stopping_keeps_the_same_weights_as_in_one_process(train_on, launched, new_run, llama: Path):
    options = ("train.epochs=30", *FP32, "train.batch_size=8", "train.learning_rate=0.05", "train.early_stopping=2")
    alone = train_on(llama, run=new_run(*options), held_out=HELD_OUT).record

    record = launched(llama, new_run(*options), held_out=HELD_OUT)

    _like(record, alone)
    assert alone.best_step is not None
    assert alone.steps < 30


@pytest.mark.parametrize("method", ["lora", "full"])
def test_fsdp_splits_the_weights_and_gives_the_same_losses(train_on, launched, new_run, llama: Path, method: str):
    options = ("train.epochs=3", *FP32, "train.batch_size=4", f"train.method={method}", "train.checkpoint_steps=2")
    alone = train_on(llama, run=new_run(*options), held_out=HELD_OUT)
    run = new_run(*options, "train.fsdp=true")

    record = launched(llama, run, held_out=HELD_OUT)

    _like(record, alone.record)
    assert record.processes is not None
    assert record.processes.sharding == "FSDP"
    ours, theirs = (load_file(each.trained_dir(record) / WEIGHTS[method]) for each in (run, alone.run))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.allclose(weight, theirs[name], atol=1e-4), name


@pytest.mark.parametrize("options", [(), ("train.fsdp=true",)])
def test_a_checkpoint_of_two_processes_is_resumed_by_two_to_the_bit(
    train_on, launched, new_run, llama: Path, options: tuple[str, ...]
):
    run = new_run(
        "train.epochs=3",
        *FP32,
        "train.batch_size=2",
        "train.lora.dropout=0.2",
        *options,
        "train.checkpoint_steps=4",
        "train.keep_checkpoints=9",
    )
    whole = launched(llama, run, held_out=HELD_OUT)
    shutil.rmtree(run.checkpoints_dir / "checkpoint-8")
    shutil.rmtree(run.adapter_dir)

    with pytest.raises(
        RecordError, match=r"after step 4 was written by 2 processes.*, and this training has 1 process"
    ):
        train_on(llama, run=run, held_out=HELD_OUT, resume=True)
    resumed = launched(llama, run, held_out=HELD_OUT, resume=True)

    assert resumed.losses == whole.losses
    assert resumed.held_out_losses == whole.held_out_losses
    assert resumed.files == whole.files
