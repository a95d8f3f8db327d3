"""Merges a LoRA adapter into its base model on disk, shard by shard; memory holds a few tensors at a time.

The merged model keeps the shard names, the dtype of each tensor, config.json, generation_config.json and tokenizer of
the base model, byte for byte. config.json only changes if the adapter makes it wrong: if the number of tokens changes,
or if the adapter changes tied embeddings differently and so unties them.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hubtune.errors import DiskFullError, MergeError
from hubtune.models.adapter_changes import read_adapter
from hubtune.models.architecture import read_structure
from hubtune.models.checkpoint import Checkpoint, Planned, ShardReader, open_checkpoint, open_shard, write_shard
from hubtune.models.merge_plan import MergePlan, TensorEdit, plan_merge
from hubtune.records.base import Progress, ProgressTask, sha256_file
from hubtune.records.release import GENERATION_CONFIG, MODEL_CONFIG, TOKENIZER_FILES, WEIGHTS_INDEX

if TYPE_CHECKING:
    from torch import Tensor


AdapterTensors = Callable[[str], "Tensor"]
_DTYPES = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}


def apply_change(weight: "Tensor", edit: TensorEdit, adapter: AdapterTensors) -> "Tensor":
    """Returns the merged tensor: computed in fp32 (fp64 if the base is), and rounded once to the base's dtype.

    In fp32 this is peft's `get_delta_weight` and sum, operation by operation, so the result is the same to the bit.
    With a base in bf16 or fp16, `merge_and_unload` may round the product before it adds it, depending on the adapter's
    dtype, so its result can differ from this one by a rounding.

    Args:
        weight: The base's tensor.
        edit: Its edit.
        adapter: Gives each of the adapter's tensors by its name.

    Raises:
        MergeError: The result holds a number that is not finite.
    """
    change, merged = edit.change, weight
    if change is None:
        return merged
    wide = torch.promote_types(weight.dtype, torch.float32)
    if change.replacement is not None:
        merged = adapter(change.replacement).to(weight.dtype)
    if change.rows is not None:
        rows = adapter(change.rows).to(weight.dtype)
        if edit.shape[0] > len(merged):
            merged = torch.cat([merged, merged.new_zeros(edit.shape[0] - len(merged), *edit.shape[1:])])
        merged = merged.index_copy(0, torch.tensor(change.indices), rows)
    if change.low_rank is not None:
        a, b = (adapter(name).float() for name in (change.low_rank.a, change.low_rank.b))
        product = b @ a
        delta = (product if edit.kind == "linear" else product.T).mul_(change.low_rank.scaling)
        # In place, since these are the largest tensors of a merge.
        merged = delta.to(wide).add_(merged).to(weight.dtype)
    if change.bias is not None:
        name, scaling = change.bias
        merged = (merged.to(wide) + adapter(name).float() * scaling).to(weight.dtype)
    if merged.numel() and not torch.stack(merged.aminmax()).isfinite().all():
        raise MergeError(
            f"Merged, {edit.source} holds numbers that are not finite in {weight.dtype}.",
            hint="The adapter is broken, or too large for the base model's number format; publish the adapter instead.",
        )
    return merged


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        dtype: The number format of most weights: `fp32`, `bf16`, `fp16` or `fp64`.
        shards: How many files hold the weights.
        changed: How many tensors differ from the base's.
        tied: Whether the head is the input embedding.
        untied: Whether it was so in the base and is not any longer.
        vocabulary: The number of tokens, if the adapter changed it.
        files: File name to sha256.
    """

    dtype: str
    shards: int
    changed: int
    tied: bool
    untied: bool
    vocabulary: int | None
    files: dict[str, str]


def write_merged(base: Path, adapter: Path, folder: Path, progress: Progress) -> Merged:
    """Writes the merged model into an empty folder.

    Args:
        base: A full-precision model in safetensors.
        adapter: A LoRA adapter for it, in safetensors.
        folder: Where it goes.
        progress: Reports the bytes that are written.

    Raises:
        MergeError: Adapter and base do not fit, are not understood, or the merge would change nothing.
        ModelError: The base cannot be read.
        DiskFullError: There is no room.
    """
    from safetensors import safe_open

    checkpoint, structure = open_checkpoint(base), read_structure(base)
    changes = read_adapter(adapter, structure.input_embedding)
    plan = plan_merge(structure, checkpoint, changes)
    _check_room(folder, checkpoint)
    changed, size = 0, 0
    with progress.task("Merging", checkpoint.size, unit="bytes") as task, safe_open(changes.weights, "pt") as tensors:
        for shard in checkpoint.shards:
            written = _Shard(checkpoint, shard, plan, tensors.get_tensor, task).write(folder / shard)
            changed, size = changed + written[0], size + written[1]
    if not changed:
        raise MergeError(
            "The merged model would be the base model: the adapter changes no weight, or nothing that the base model's "
            "number format can hold.",
            hint="Publish the adapter itself, or train it longer.",
        )
    _write_index(checkpoint, plan, size, folder)
    _write_config(checkpoint, plan, folder)
    tokenizer = adapter if (adapter / "tokenizer_config.json").is_file() else base
    # The adapter's own, if it has some: the merged model stops where it does.
    settings = adapter if (adapter / GENERATION_CONFIG).is_file() else base
    for source, names in ((settings, (GENERATION_CONFIG,)), (tokenizer, TOKENIZER_FILES)):
        for path in (source / name for name in names):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
    vocabulary = plan.config.get("vocab_size")
    return Merged(
        dtype=_DTYPES.get(checkpoint.dtype, checkpoint.dtype),
        shards=len(checkpoint.shards),
        changed=changed,
        tied=plan.tied,
        untied="tie_word_embeddings" in plan.config,
        vocabulary=vocabulary if isinstance(vocabulary, int) else None,
        files={path.name: sha256_file(path) for path in sorted(folder.iterdir())},
    )


class _Shard:
    """One shard on its way from the base's to the merged model's."""

    def __init__(
        self, checkpoint: Checkpoint, name: str, plan: MergePlan, tensors: AdapterTensors, task: ProgressTask
    ) -> None:
        self._source = checkpoint.folder / name
        self._edits = {tensor: edit for tensor, edit in plan.edits.items() if edit.shard == name}
        self._tensors, self._task, self._name = tensors, task, name
        self._changed = 0

    def write(self, target: Path) -> tuple[int, int]:
        """Writes the model; returns the number of changed tensors and the total number of bytes."""
        with open_shard(self._source) as shard:
            planned = {name: Planned(entry.dtype, entry.shape) for name, entry in shard.header.tensors.items()} | {
                name: Planned(edit.dtype, edit.shape, self._make(edit)) for name, edit in self._edits.items()
            }
            size = write_shard(shard, target, planned, lambda count: self._task.advance(count, note=self._name))
        return self._changed, size

    def _make(self, edit: TensorEdit) -> "Callable[[ShardReader], Tensor]":
        def make(shard: ShardReader) -> "Tensor":
            weight = shard.tensor(edit.source)
            merged = apply_change(weight, edit, self._tensors)
            # A tensor of its own for a head that was tied is the same numbers, and changes nothing.
            self._changed += not torch.equal(weight, merged)
            return merged

        return make


def _check_room(folder: Path, checkpoint: Checkpoint) -> None:
    free, needed = shutil.disk_usage(folder).free, checkpoint.size
    if free < needed:
        raise DiskFullError(
            f"The merged model takes {needed / 1e9:.2f} GB, and {folder.parent} has room for {free / 1e9:.2f} GB.",
            hint="Free some space, or name a folder on another disk.",
        )


def _write_index(checkpoint: Checkpoint, plan: MergePlan, size: int, folder: Path) -> None:
    if checkpoint.index is None:
        return
    places = checkpoint.index["weight_map"]
    assert isinstance(places, dict), "the checkpoint was opened by it"
    added = {name: edit.shard for name, edit in plan.edits.items() if name not in places}
    if not added and not plan.config:
        shutil.copyfile(checkpoint.folder / WEIGHTS_INDEX, folder / WEIGHTS_INDEX)
        return
    metadata = checkpoint.index.get("metadata")
    index = {
        **checkpoint.index,
        "metadata": {**(metadata if isinstance(metadata, dict) else {}), "total_size": size},
        "weight_map": {**places, **added},
    }
    (folder / WEIGHTS_INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_config(checkpoint: Checkpoint, plan: MergePlan, folder: Path) -> None:
    if not plan.config:
        shutil.copyfile(checkpoint.folder / MODEL_CONFIG, folder / MODEL_CONFIG)
        return
    config = {**checkpoint.config, **plan.config}
    (folder / MODEL_CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
