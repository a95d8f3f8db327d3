"""Writes a fine-tuned model as the checkpoint of its base model, with the trained tensors replaced.

Everything that was not trained is copied byte for byte. Names, shards and the dtype of each tensor stay the same.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hubtune.errors import DiskFullError, TrainingError
from hubtune.files import file_errors, room_hint
from hubtune.models.architecture import Structure, read_structure
from hubtune.models.checkpoint import FLOATS, Checkpoint, Planned, ShardReader, open_checkpoint, open_shard, write_shard
from hubtune.records.base import Progress
from hubtune.records.release import MODEL_CONFIG, TOKENIZER_FILES, WEIGHTS_INDEX

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel


def write_tuned(base: Path, model: "PreTrainedModel", folder: Path, progress: Progress) -> None:
    """Writes the complete model into an empty folder, with the config and tokenizer of the base model.

    Args:
        base: The base model's snapshot, a full-precision model in safetensors.
        model: The tuned model; the parameters that take gradients are those that were trained.
        folder: Where to write.
        progress: Reports the bytes that are written.

    Raises:
        TrainingError: The checkpoint has no tensor of a parameter's name and shape, or has it in whole numbers.
        ModelError: The base cannot be read.
        DiskFullError: There is no room.
    """
    checkpoint, structure = open_checkpoint(base), read_structure(base)
    free = shutil.disk_usage(folder).free
    if free < checkpoint.size:
        raise DiskFullError(
            f"The tuned model takes {checkpoint.size / 1e9:.2f} GB, and there is room for {free / 1e9:.2f} GB.",
            hint=room_hint(),
        )
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    stored = {
        name: value
        for parameter, value in trained.items()
        for name in _names(structure, checkpoint, parameter, value, model)
    }
    size = 0
    with progress.task("Writing the model", checkpoint.size, unit="bytes") as task:
        for shard in checkpoint.shards:
            with open_shard(base / shard) as source:
                planned = {}
                for name, entry in source.header.tensors.items():
                    value = stored.get(name)
                    made = None if value is None else _maker(value, entry.dtype)
                    planned[name] = Planned(entry.dtype, entry.shape if value is None else tuple(value.shape), made)
                size += write_shard(source, folder / shard, planned, task.advance)
    for name in (MODEL_CONFIG, WEIGHTS_INDEX, *TOKENIZER_FILES):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    rows = len(model.get_input_embeddings().weight)
    if rows != structure.parameters[f"{structure.input_embedding}.weight"][0]:
        _write_sizes(checkpoint, folder, rows, size)


def _write_sizes(checkpoint: Checkpoint, folder: Path, rows: int, size: int) -> None:
    """Writes the config and the index again for a model that has more tokens than its base."""
    if "vocab_size" not in checkpoint.config:
        raise TrainingError(
            f"{MODEL_CONFIG} of the base model has no `vocab_size`, the number of tokens, which added tokens change.",
            hint="Leave `train.added_tokens` out.",
        )
    _write_json(folder / MODEL_CONFIG, {**checkpoint.config, "vocab_size": rows})
    if checkpoint.index is not None:
        metadata = checkpoint.index.get("metadata")
        known = metadata if isinstance(metadata, dict) else {}
        _write_json(folder / WEIGHTS_INDEX, {**checkpoint.index, "metadata": {**known, "total_size": size}})


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_classifier(base: Path, model: "PreTrainedModel", folder: Path) -> None:
    """Writes a fully trained classifier into an empty folder, with the tokenizer of the base model.

    It has tensors that its base lacks, and lacks the head that the base has, so that its checkpoint is transformers'
    own and not the base's with other numbers. Trained weights are stored in the dtype of the others.
    """
    stored = read_dtype(base)
    with file_errors(folder):
        model.to(stored).save_pretrained(str(folder))
        for name in TOKENIZER_FILES:
            if (base / name).is_file():
                shutil.copyfile(base / name, folder / name)


def read_dtype(base: Path) -> "torch.dtype":
    """Returns the dtype that most numbers of a checkpoint have."""
    dtype: torch.dtype = getattr(torch, FLOATS.get(open_checkpoint(base).dtype, "float32"))
    return dtype


def _names(
    structure: Structure, checkpoint: Checkpoint, parameter: str, value: "torch.Tensor", model: "PreTrainedModel"
) -> list[str]:
    """Returns the names that a parameter, and those that it is tied to, have in the checkpoint."""
    tied = [other for pair in structure.tied.items() if parameter in pair for other in pair if other != parameter]
    grows = parameter in structure.vocabulary
    names = (parameter, *tied)
    found = [place for name in names for place in _spelled(structure, checkpoint, name, value, grows=grows)]
    if not found:
        renamed = _renamed(parameter, value, model)
        found = [place for name in renamed for place in _spelled(structure, checkpoint, name, value, grows=grows)]
    if not found:
        raise TrainingError(
            f"The base model's checkpoint has no tensor {parameter}; its architecture is stored in another way than "
            "it is trained, so the tuned weights cannot be put back.",
            hint="Train an adapter instead: `train.method: lora`.",
        )
    return found


def _spelled(
    structure: Structure, checkpoint: Checkpoint, name: str, value: "torch.Tensor", *, grows: bool
) -> list[str]:
    """Returns the name with or without the prefix, as the checkpoint has it; nothing if it has neither.

    Args:
        structure: The base's.
        checkpoint: The base's.
        name: A parameter's.
        value: What was trained.
        grows: Whether it may have more rows than the base's: those of new tokens.

    Raises:
        TrainingError: The tensor there has another shape, or whole numbers.
    """
    for spelled in dict.fromkeys((name, name.removeprefix(structure.prefix), structure.prefix + name)):
        place = checkpoint.find(spelled)
        if place is None:
            continue
        stored, trained = place[1].shape, tuple(value.shape)
        fits = trained == stored or (grows and trained[1:] == stored[1:] and trained[0] > stored[0])
        if not fits or place[1].dtype not in FLOATS:
            raise TrainingError(
                f"The base model stores {spelled} as {place[1].dtype} of shape {list(place[1].shape)}, and what was "
                f"trained has the shape {list(value.shape)}.",
                hint="Train an adapter instead: `train.method: lora`.",
            )
        return [spelled]
    return []


def _renamed(parameter: str, value: "torch.Tensor", model: "PreTrainedModel") -> list[str]:
    """Returns the name that transformers saves a parameter by, if it has another in memory (GPT-NeoX's head)."""
    from transformers.core_model_loading import revert_weight_conversion

    return [name for name in revert_weight_conversion(model, {parameter: value}) if name != parameter]


def _maker(value: "torch.Tensor", dtype: str) -> "Callable[[ShardReader], torch.Tensor]":
    def make(_shard: ShardReader) -> "torch.Tensor":
        return value.detach().to("cpu", getattr(torch, FLOATS[dtype]))

    return make
