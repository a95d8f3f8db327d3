"""Reads a published adapter, and maps each of its tensors to the tensor of the base model that it changes.

Anything in an adapter that is not understood is refused by name: a merge that ignores a part would give a wrong model.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hubtune.errors import MergeError, ModelError
from hubtune.models.adapter_settings import ModulePatterns, read_settings
from hubtune.models.adapters import read_tensors
from hubtune.records.release import ADAPTER_CONFIG, ADAPTER_WEIGHTS

_PREFIX = "base_model.model."
_FACTORS = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_B.bias": "bias",
}
_ROWS = ".token_adapter.trainable_tokens_delta"
# What says how an adapter was trained or is loaded, and leaves the tensors' meaning as it is.
_NO_MATTER = {
    *("task_type", "auto_mapping", "peft_version", "inference_mode", "runtime_config", "base_model_name_or_path"),
    *("revision", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
    # The kind of the layer decides it, in peft as here.
    "fan_in_fan_out",
    # Their tensors are there or not.
    *("lora_bias", "bias"),
    *("lora_dropout", "eva_config", "megatron_core", "qalora_group_size"),
}
_USED = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "trainable_token_indices"),
    *("init_lora_weights", "ensure_weight_tying"),
}
# What follows "the adapter" in messages.
_NAMED = "to merge"

_DAMAGED = "Its files are damaged or do not belong together; ask its author, or choose another revision."


@dataclass(frozen=True)
class LowRank:
    """The names of an adapter's two factors for one layer, and the scaling of their product."""

    a: str
    b: str
    scaling: float


@dataclass(frozen=True)
class WeightChange:
    """The changes of an adapter to one tensor of the base model, in this order.

    Attributes:
        replacement: The adapter's tensor that takes its place.
        rows: The adapter's tensor whose rows take the place of those at `indices`.
        low_rank: The factors whose product is added.
        bias: The adapter's tensor that is added, and what it is multiplied with.
    """

    replacement: str | None = None
    rows: str | None = None
    indices: tuple[int, ...] = ()
    low_rank: LowRank | None = None
    bias: tuple[str, float] | None = None

    @property
    def only_replaces(self) -> bool:
        """Whether the adapter's tensor replaces the whole base tensor."""
        return self == WeightChange(replacement=self.replacement)

    @property
    def only_rows(self) -> bool:
        """Whether it only changes some rows."""
        return self == WeightChange(rows=self.rows, indices=self.indices)


@dataclass(frozen=True)
class Adapter:
    """An adapter on disk.

    Attributes:
        changes: Parameter of the model, as transformers names it, to what happens to it.
        shapes: The adapter's tensors and their shapes.
        ties_embeddings: Whether one adapter serves the embedding and the head that is tied to it.
    """

    folder: Path
    changes: Mapping[str, WeightChange]
    shapes: Mapping[str, tuple[int, ...]]
    ties_embeddings: bool

    @property
    def weights(self) -> Path:
        """The file with the adapter's tensors."""
        return self.folder / ADAPTER_WEIGHTS


@dataclass
class _Layer:
    factors: dict[str, str] = field(default_factory=dict)
    rank: int = 0


def stated_base(folder: Path, name: str) -> tuple[str | None, str | None]:
    """Returns the id and revision of the base model that an adapter's config states.

    Args:
        folder: The adapter's folder.
        name: What follows "the adapter" in messages: REPO@COMMIT.

    Raises:
        MergeError: It is not a config of a LoRA adapter that is understood.
    """
    settings = _read_config(folder, name)
    return _text(settings, "base_model_name_or_path"), _text(settings, "revision")


def read_adapter(folder: Path, input_embedding: str) -> Adapter:
    """Reads an adapter's config and the names and shapes of its tensors.

    Args:
        folder: Where `adapter_config.json` and `adapter_model.safetensors` are.
        input_embedding: The module that `trainable_token_indices` means if it names none.

    Raises:
        MergeError: It is no LoRA adapter in safetensors, or something of it is not understood; the message names it.
    """
    settings = _read_config(folder, _NAMED)
    try:
        tensors = read_tensors(folder, _NAMED).tensors
    except ModelError as error:
        raise MergeError(error.message, hint=error.hint) from error
    shapes = {name: entry.shape for name, entry in tensors.items()}
    return Adapter(
        folder=folder,
        changes=_changes(settings, shapes, input_embedding),
        shapes=shapes,
        ties_embeddings=bool(settings.get("ensure_weight_tying")),
    )


def _read_config(folder: Path, name: str) -> dict[str, object]:
    settings: dict[str, object] = read_settings(folder, name, MergeError).model_dump()
    unknown = sorted(key for key, value in settings.items() if value and key not in _NO_MATTER | _USED)
    if unknown:
        shown = ", ".join(f"{key}={json.dumps(settings[key])[:60]}" for key in unknown)
        raise MergeError(
            f"The adapter uses what merging does not know: {shown}.", hint="Publish the adapter itself instead."
        )
    return settings


def _text(settings: Mapping[str, object], key: str) -> str | None:
    value = settings.get(key)
    return value if isinstance(value, str) and value else None


def _changes(
    settings: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]], input_embedding: str
) -> dict[str, WeightChange]:
    layers: dict[str, _Layer] = {}
    changes: dict[str, WeightChange] = {}
    for tensor, shape in shapes.items():
        if not tensor.startswith(_PREFIX):
            raise MergeError(f"The adapter's tensor {tensor} has a name that is not understood.", hint=_DAMAGED)
        name = tensor.removeprefix(_PREFIX)
        suffix = next((suffix for suffix in _FACTORS if name.endswith(suffix)), None)
        if suffix is not None:
            layer = layers.setdefault(name.removesuffix(suffix), _Layer())
            layer.factors[_FACTORS[suffix]] = tensor
            layer.rank = shape[0] if _FACTORS[suffix] == "a" else layer.rank
        elif name.endswith(_ROWS):
            module = name.removesuffix(_ROWS)
            indices = _token_indices(settings, module, input_embedding)
            if len(indices) != shape[0]:
                raise MergeError(
                    f"The adapter has {shape[0]} rows for {module}, and names {len(indices)} tokens.", hint=_DAMAGED
                )
            changes[f"{module}.weight"] = WeightChange(rows=tensor, indices=indices)
        elif re.search(r"lora_|_adapter\.|modules_to_save|original_module", name):
            raise MergeError(f"The adapter's tensor {tensor} has a name that is not understood.", hint=_DAMAGED)
        else:
            # With the base's own name, or that of the layer that the adapter wraps.
            changes[name.replace(".base_layer.", ".")] = WeightChange(replacement=tensor)
    expressions = ModulePatterns(f"{ADAPTER_CONFIG} of the adapter {_NAMED}", MergeError)
    for module, layer in layers.items():
        low_rank = _low_rank(settings, module, layer, expressions)
        name = f"{module}.weight"
        changes[name] = replace(changes.get(name, WeightChange()), low_rank=low_rank)
        if "bias" in layer.factors:
            bias = f"{module}.bias"
            changes[bias] = replace(changes.get(bias, WeightChange()), bias=(layer.factors["bias"], low_rank.scaling))
    if not changes:
        raise MergeError("The adapter holds no tensors.", hint=_DAMAGED)
    return changes


def _low_rank(settings: Mapping[str, object], module: str, layer: _Layer, expressions: ModulePatterns) -> LowRank:
    """Returns the factors of a layer with alpha / r, or alpha / sqrt(r) for rsLoRA (Kalajdzievski, 2023)."""
    if not {"a", "b"} <= layer.factors.keys():
        raise MergeError(f"The adapter has only one of the two factors of {module}.", hint=_DAMAGED)
    rank = _number(_by_pattern(settings, "rank_pattern", module, expressions, settings.get("r")), "r")
    alpha = _number(
        _by_pattern(settings, "alpha_pattern", module, expressions, settings.get("lora_alpha")), "lora_alpha"
    )
    if rank != layer.rank:
        raise MergeError(
            f"The adapter's factors of {module} have rank {layer.rank}; its config says {rank}.", hint=_DAMAGED
        )
    scaling = alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank
    return LowRank(layer.factors["a"], layer.factors["b"], scaling)


def _by_pattern(
    settings: Mapping[str, object], key: str, module: str, expressions: ModulePatterns, otherwise: object
) -> object:
    patterns = settings.get(key) or {}
    if not isinstance(patterns, dict):
        raise MergeError(f"The adapter's {key} is not a mapping.", hint=_DAMAGED)
    # As peft matches them: each key is a regular expression for the end of a module's name.
    found = expressions.value(key, patterns, module)
    return otherwise if found is None else found


def _number(value: object, key: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or (key == "r" and value < 1):
        raise MergeError(
            f"The adapter's {key} is {value!r}; it has to be a number, and r at least 1.",
            hint="Ask its author to save the adapter again with a current version of peft.",
        )
    return value


def _token_indices(settings: Mapping[str, object], module: str, input_embedding: str) -> tuple[int, ...]:
    stated = settings.get("trainable_token_indices")
    if isinstance(stated, dict):
        stated = next((indices for name, indices in stated.items() if f".{module}".endswith(f".{name}")), None)
    elif module != input_embedding:
        stated = None
    if not isinstance(stated, Sequence) or not all(isinstance(index, int) for index in stated):
        raise MergeError(f"The adapter does not say which tokens its rows for {module} belong to.", hint=_DAMAGED)
    return tuple(stated)
