"""Estimates the memory of a training from config.json alone, before anything is loaded.

The weights are counted from the numbers in the config. The rest of a step is counted for sequences of the maximum
length, so a run with shorter rows needs less.
"""

import os
import platform
import shutil
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from hubtune.config.training import TrainConfig
from hubtune.models.architecture import Shape, Whole
from hubtune.records.results import EnvironmentRecord

_CGROUP = Path("/sys/fs/cgroup/memory.max")
# Bytes of a number in 4 bits with its block's scale, which is quantized too (Dettmers et al., 2023): 4.127 bits.
_NF4 = 0.516
# Logits that the loss holds at once, by the kind of device, and how many copies of them.
_LOGITS, _COPIES = {"cpu": 2**24, "cuda": 2**27}, 2
# Copies of all logits if the model computes the loss: their likelihoods, and the gradients of these and of the logits.
_OWN_COPIES = 3
# Shares of a memory: the libraries and the rows take some of it, and the estimate was seen to be off by a fifth.
_NEAR, _OVER = 0.8, 1.2
# Blocks that `freeze` trains if nothing is said.
_BLOCKS = 2
# Those whose versions decide the numbers.
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "huggingface-hub")


@dataclass(frozen=True)
class Memory:
    """The memory of the machine or the GPU that would train.

    Attributes:
        device: `cuda` or `cpu`.
        total: Bytes.
        name: What to call it.
    """

    device: str
    total: int
    name: str


def machine_memory() -> Memory | None:
    """Returns the memory to train in; None if the operating system does not report it.

    torch is asked, which takes seconds to import, only if there is a GPU's driver.
    """
    if shutil.which("nvidia-smi"):
        import torch

        if torch.cuda.is_available():
            return Memory("cuda", int(torch.cuda.mem_get_info()[1]), torch.cuda.get_device_name())
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
    limit = _CGROUP.read_text().strip() if _CGROUP.is_file() else "max"
    return Memory("cpu", min(total, int(limit)) if limit.isdigit() else total, "this machine's memory")


@dataclass(frozen=True)
class Workload:
    """The properties of a training that its memory depends on, besides the model's shape and the device.

    Attributes:
        train: How the model is trained.
        width: Bytes of a number in a base that carries an adapter: 2 or 4.
        length: The most tokens of a row.
        consolidated: Whether elastic weight consolidation holds the weights to where they start.
        classes: Classes that the model distinguishes, of which it has logits in place of those of tokens: 0 if it
            writes text, None if the rows have yet to tell.
    """

    train: TrainConfig
    width: int
    length: int
    consolidated: bool = False
    classes: int | None = 0


@dataclass(frozen=True)
class Estimate:
    """The maximum memory of a training in bytes, by purpose.

    Attributes:
        weights: The model's weights and the adapter's.
        gradients: In fp32, of what is trained.
        optimizer: AdamW's two moments in fp32, of what is trained, and what holds the weights to where they start.
        activations: What the forward keeps for the backward.
        logits: What the loss holds of them at once.
        notes: What could not be counted, in words.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_giga(value)}" for name, value in vars(self).items() if name != "notes")
        return f"about {_giga(self.total)} ({'; '.join([parts, *self.notes])})"

    def advice(self, train: TrainConfig) -> str:
        """Returns advice for reducing the memory, by what needs the most."""
        if self.activations > self.total / 2:
            lower = (
                "Lower `train.batch_size`, with `train.gradient_accumulation` raised by as much for the same steps, or "
            )
            checkpointing = "" if train.gradient_checkpointing else ", or set `train.gradient_checkpointing: true`"
            return f"{lower}`train.max_length`{checkpointing}."
        if train.whole:
            return "Train fewer weights: `train.method: lora`, or `freeze` with fewer `last_blocks`."
        smaller = (
            "a smaller base model" if train.method == "qlora" else "`train.method: qlora`, or a smaller base model"
        )
        return f"Use {smaller}."


def estimate(shape: Shape, work: Workload, device: str) -> Estimate:
    """Returns the estimated memory of a training.

    With P weights in the model, T of them or of an adapter trained, and n = `batch_size` x `length` tokens at once:

    - weights: P x `width` (0.516 in the blocks for `qlora`; 4 for `full` and `freeze`), and 4 T for an adapter. With it
      go whole modules, the head of a classifier among them: peft trains a copy of each and keeps the frozen original;
    - gradients 4 T, and AdamW 8 T, with 8 T more if the weights are held to where they start;
    - activations, in the way of Korthikanti et al. (2022) but without the attention's matrix, which is never held: for
      each token and block 10 h + 2 k + 4 i numbers with a gated MLP of i inner numbers, 8 h + c i without, where c is
      2, or 6 for a GELU that is computed step by step; h hidden and k key numbers. With checkpointing, h for each
      block and the whole of one; and 4 h outside of the blocks;
    - logits: twice those that the loss holds at once, in fp32; three times the n x vocabulary logits where the model
      makes the loss, as it does with a head that is trained whole, and with rows for new tokens under an adapter. For
      such rows peft makes the head again in each forward: its weights twice more among the activations, with their
      gradient.

    Args:
        shape: The model's.
        work: The training.
        device: `cuda` or `cpu`.
    """
    train = work.train
    tokens = train.batch_size * work.length
    shape = replace(shape, classes=work.classes or 0)
    whole = _whole(shape, train)
    trained = _trained(shape, train, whole)
    held = 4 if train.whole else work.width
    weights = shape.layers * shape.block * (_NF4 if train.method == "qlora" else held) + shape.outside * held
    if shape.gated:
        numbers = 10 * shape.hidden + 2 * shape.keys + 4 * shape.inner
    else:
        numbers = 8 * shape.hidden + (6 if shape.stepwise else 2) * shape.inner
    blocks = numbers * shape.layers
    if train.gradient_checkpointing:
        blocks = shape.hidden * shape.layers + numbers
    rows_added = bool(train.added_tokens) and not train.whole and work.classes == 0
    remade = rows_added and not (whole.embedding if shape.tied else whole.head)
    own = remade or whole.head
    # A decoder that classifies gives each token logits of the classes, of which it takes the last.
    table = shape.classes or shape.vocabulary
    rows = tokens if own else max(1, min(tokens, _LOGITS[device] // table))
    return Estimate(
        weights=round(weights) + (0 if train.whole else 4 * trained),
        gradients=4 * trained,
        optimizer=(16 if work.consolidated else 8) * trained,
        activations=(tokens * (blocks + 4 * shape.hidden) + (2 * shape.vocabulary * shape.hidden if remade else 0))
        * held,
        logits=(_OWN_COPIES if own else _COPIES) * 4 * rows * table,
        notes=_notes(train, whole),
    )


def fitting(shape: Shape, work: Workload, memory: Memory) -> TrainConfig:
    """Returns the settings with the rows of a step in as few micro-batches as fit the memory; see `estimate`.

    The rows of a step stay the same. If not even one row fits, it is one row at a time.
    """
    train = work.train
    rows = train.batch_size * train.gradient_accumulation
    sizes = [size for size in range(train.batch_size, 0, -1) if rows % size == 0]
    for size in sizes:
        chosen = train.model_copy(update={"batch_size": size, "gradient_accumulation": rows // size})
        found = estimate(shape, replace(work, train=chosen), memory.device)
        if size == 1 or judge(found, memory.total) == "ok":
            break
    return chosen


def judge(found: Estimate, total: int) -> Literal["ok", "near", "over"]:
    """Returns whether a training fits into a memory of this size; slightly above it, it may still fit."""
    share = found.total / total
    return "over" if share > _OVER else "near" if share > _NEAR else "ok"


def _whole(shape: Shape, train: TrainConfig) -> Whole:
    """Returns what is trained whole beside an adapter: what the config names, and what a classifier needs.

    peft trains the head of any classifier; a pooler before it is trained if the base has no head of that kind.
    """
    if train.whole:
        return shape.whole(())
    lacking = [name for name in shape.class_head if name != "pooler" or not shape.classifies]
    return shape.whole([*train.lora.modules_to_save, *lacking])


def _notes(train: TrainConfig, whole: Whole) -> tuple[str, ...]:
    notes = [f"without {', '.join(whole.unknown)}, of a size that the config does not tell"] if whole.unknown else []
    if train.trainable is not None:
        notes.append(f"for the last {_BLOCKS} blocks, since what `train.trainable` fits is not known yet")
    return tuple(notes)


def _trained(shape: Shape, train: TrainConfig, whole: Whole) -> int:
    if train.method == "full":
        return shape.parameters
    if train.method == "freeze":
        blocks = min(shape.layers, train.last_blocks or _BLOCKS)
        return blocks * shape.block + shape.hidden + shape.head + sum(shape.class_head.values())
    wanted = train.lora.target_modules
    chosen = [name for name in shape.linear if isinstance(wanted, str) or name.split("/")[0] in wanted]
    # peft puts no adapter on what it trains whole.
    ends = sum(sum(shape.linear[name]) * (shape.layers - whole.blocks.get(name, 0)) for name in chosen or shape.linear)
    tables = (not whole.embedding) + (shape.head > 0 and not whole.head)
    return train.lora.r * ends + len(train.added_tokens) * shape.hidden * tables + whole.weights


def _giga(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 5e7 else f"{count / 1e6:.1f} MB"


def environment() -> EnvironmentRecord:
    """Returns the versions and the device of this process."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    return EnvironmentRecord(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=device,
        packages={name: metadata.version(name) for name in _PACKAGES},
    )
