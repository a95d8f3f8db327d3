"""Puts LoRA adapters on base models: the only loader for `generate`, `evaluate`, `verify`, `merge` and training.

peft silently drops tensors without a module, leaves modules without tensors at random values, and accepts NaN. So the
header of the file is compared with the settings and the base model before peft reads it, and the loaded adapter is
compared with the file afterwards. The adapter that runs is exactly the one in the file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.files import loading
from hubtune.models.adapter_settings import AdapterSettings, ModulePatterns, known_names, read_settings
from hubtune.models.checkpoint import FLOATS, Header, read_header
from hubtune.models.classifier import classifies
from hubtune.records.base import Pin
from hubtune.records.release import ADAPTER_CONFIG, ADAPTER_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peft import LoraConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_PREFIX = "base_model.model."
_FACTORS = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_B.bias": "bias",
    ".lora_magnitude_vector": "magnitude",
}
_ROWS = ".token_adapter.trainable_tokens_delta"
_ELSEWHERE = (
    "The adapter belongs to another base model, or to another revision of it, or its files do not belong together."
)
_DAMAGED = "Its files are damaged or were saved after a training that diverged; choose another adapter or revision."
# peft names both for each classifier, whichever it has.
_HEADS = ("classifier", "score")
_ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class PinnedAdapter:
    """A published adapter that is trained further: its repository and commit, and its snapshot."""

    pin: Pin
    folder: Path

    @property
    def name(self) -> str:
        """REPO@COMMIT, for messages."""
        return f"{self.pin.repo}@{self.pin.commit}"


def load_adapter(base: "PreTrainedModel", folder: Path, name: str, *, trainable: bool = False) -> "PeftModel":
    """Loads the adapter in `folder` into `base`, for inference or for further training.

    Args:
        base: The base model, with rows for the tokens that the adapter brings.
        folder: The adapter's folder.
        name: What follows "the adapter" in messages: REPO@COMMIT, or words such as "of this run".
        trainable: Whether its weights take gradients.

    Raises:
        ModelError: It is not a LoRA adapter in safetensors, says what hubtune does not load, does not fit the base in
            every tensor, or holds NaN or infinite numbers; the message names the adapter and the tensor.
    """
    from peft import PeftModel

    settings = read_settings(folder, name)
    header = read_tensors(folder, name)
    fit = _Fit(base, settings, header, name)
    fit.check()
    _check_finite(folder / ADAPTER_WEIGHTS, base, name)
    config = fit.config()
    with loading(f"The adapter {name} cannot be loaded", ModelError, hint=_ELSEWHERE):
        model = PeftModel.from_pretrained(
            base, str(folder), config=config, is_trainable=trainable, local_files_only=True
        )
    _check_loaded(model, header, name)
    return model


def read_tensors(folder: Path, name: str) -> Header:
    """Reads the names, dtypes and shapes of an adapter's tensors.

    Raises:
        ModelError: There are none in safetensors, the file is damaged, or a tensor is of whole numbers.
    """
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise ModelError(
            f"The adapter {name} has no {ADAPTER_WEIGHTS}; weights in other formats are not read, since that can run "
            "code.",
            hint="Save the adapter as safetensors.",
        )
    try:
        header = read_header(path)
    except ModelError as error:
        raise ModelError(f"The adapter {name} is damaged or cut short: {error.message}", hint=error.hint) from error
    if not header.tensors:
        raise ModelError(f"The adapter {name} holds no tensors.", hint=_DAMAGED)
    for tensor, entry in header.tensors.items():
        if entry.dtype not in FLOATS:
            raise ModelError(
                f"The adapter {name} stores {_shown(tensor)} as {entry.dtype}; an adapter's tensors are one of "
                f"{', '.join(FLOATS)}.",
                hint="Save the adapter again with its weights in one of these.",
            )
    return header


def saved_rows(folder: Path, embedding: str, name: str) -> int:
    """Returns the number of rows of the embedding that an adapter contains; 0 if it contains none.

    Args:
        folder: The adapter's folder.
        embedding: The name of the base's input embedding.
        name: As in `load_adapter`.

    Raises:
        ModelError: The adapter's tensors cannot be read.
    """
    tensors = read_tensors(folder, name).tensors
    names = (f"{_PREFIX}{embedding}.weight", f"{_PREFIX}{embedding}.base_layer.weight")
    return max((tensors[tensor].shape[0] for tensor in names if tensor in tensors and tensors[tensor].shape), default=0)


@dataclass
class _Fit:
    """An adapter's settings and tensors next to the base that they are for."""

    base: "PreTrainedModel"
    settings: AdapterSettings
    header: Header
    name: str

    def __post_init__(self) -> None:
        self.modules: Mapping[str, nn.Module] = dict(self.base.named_modules())
        named = (self.base.named_parameters(remove_duplicate=False), self.base.named_buffers())
        self.parameters = {name: tuple(value.shape) for values in named for name, value in values}
        self.expressions = ModulePatterns(f"{ADAPTER_CONFIG} of the adapter {self.name}")
        self.ranks: set[int] = set()

    def check(self) -> None:
        """Refuses an adapter that does not fit, by its header only.

        Raises:
            ModelError: A tensor fits no module of the base or has another shape, or a setting names no module.
        """
        self._check_class()
        for tensor, entry in self.header.tensors.items():
            if not tensor.startswith(_PREFIX):
                raise self._homeless(tensor)
            place = tensor.removeprefix(_PREFIX)
            suffix = next((suffix for suffix in _FACTORS if place.endswith(suffix)), None)
            if suffix is not None:
                self._check_factor(tensor, place.removesuffix(suffix), suffix, entry.shape)
            elif place.endswith(_ROWS):
                self._check_rows(tensor, place.removesuffix(_ROWS), entry.shape)
            else:
                self._check_parameter(tensor, place.replace(".base_layer.", "."), entry.shape)
        self._check_settings()

    def config(self) -> "LoraConfig":
        """Returns peft's config, without regular expressions: those are resolved to the names that they fit."""
        from peft import LoraConfig

        values = self.settings.model_dump(exclude={"auto_mapping", *(self.settings.model_extra or {})})
        for setting in ("target_modules", "exclude_modules"):
            if isinstance(values[setting], str) and values[setting] != _ALL_LINEAR:
                values[setting] = self.expressions.fitting(setting, values[setting], self.modules)
            elif isinstance(values[setting], list):
                values[setting] = known_names(values[setting], self.modules)
        adapted = sorted(module for module in self.modules if self._adapted(module))
        for setting, patterns in (
            ("rank_pattern", self.settings.rank_pattern),
            ("alpha_pattern", self.settings.alpha_pattern),
        ):
            values[setting] = self.expressions.for_peft(setting, patterns, adapted)
        return LoraConfig(**values)

    def _adapted(self, module: str) -> bool:
        return any(f"{_PREFIX}{module}{suffix}" in self.header.tensors for suffix in _FACTORS)

    def _check_class(self) -> None:
        task, mapping = self.settings.task_type, self.settings.auto_mapping or {}
        if task is not None and (task == "SEQ_CLS") != classifies(self.base):
            raise ModelError(
                f"The adapter {self.name} is for the task {task}, and the base is a {type(self.base).__name__}.",
                hint="Choose an adapter that was trained for what the base is loaded to do.",
            )
        named = mapping.get("base_model_class")
        if task is None and named is not None and named != type(self.base).__name__:
            raise ModelError(
                f"The auto_mapping of the adapter {self.name} names the class {_shown(named)}, and the base is a "
                f"{type(self.base).__name__}.",
                hint=_ELSEWHERE,
            )

    def _check_factor(self, tensor: str, module: str, suffix: str, shape: tuple[int, ...]) -> None:
        layer = self.modules.get(module)
        if layer is None:
            raise self._homeless(tensor)
        part = _FACTORS[suffix]
        named = self.expressions.value("rank_pattern", self.settings.rank_pattern, module)
        rank = named if isinstance(named, int) else self.settings.r
        if part in ("a", "b"):
            found = shape[0 if part == "a" else min(1, len(shape) - 1)] if shape else 0
            if found != rank:
                raise ModelError(
                    f"The adapter {self.name} has {_shown(tensor)} of rank {found}, and its {ADAPTER_CONFIG} says "
                    f"{rank}.",
                    hint="Its two files do not belong together; ask its author, or choose another revision.",
                )
            self.ranks.add(found)
        sizes = _sizes(layer)
        if sizes is None:
            # Layers of other kinds have shapes of their own, which peft compares when it loads them.
            return
        inputs, outputs = sizes
        expected = (rank, inputs) if part == "a" else (outputs, rank) if part == "b" else (outputs,)
        if shape != expected:
            raise self._misfit(tensor, shape, expected)

    def _check_rows(self, tensor: str, module: str, shape: tuple[int, ...]) -> None:
        table = self.parameters.get(f"{module}.weight")
        if table is None:
            raise self._homeless(tensor)
        stated = self.settings.trainable_token_indices
        if isinstance(stated, dict):
            stated = next((ids for name, ids in stated.items() if f".{module}".endswith(f".{name}")), None)
        if stated is None or len(stated) != shape[0]:
            raise ModelError(
                f"The adapter {self.name} has {shape[0] if shape else 0} rows for {module}, and its {ADAPTER_CONFIG} "
                f"names {len(stated or ())} tokens for them.",
                hint="Its two files do not belong together; ask its author, or choose another revision.",
            )
        if shape[1:] != table[1:] or max(stated, default=0) >= table[0]:
            raise self._misfit(tensor, shape, (len(stated), *table[1:]))

    def _check_parameter(self, tensor: str, parameter: str, shape: tuple[int, ...]) -> None:
        expected = self.parameters.get(parameter)
        if expected is None:
            raise self._homeless(tensor)
        if shape != expected:
            raise self._misfit(tensor, shape, expected)

    def _check_settings(self) -> None:
        """Refuses settings of which peft would take no notice, or that would take memory that no tensor fills."""
        given = self.settings
        indices = given.trainable_token_indices
        rows = list(indices) if isinstance(indices, dict) else []
        for setting, names in (("modules_to_save", given.modules_to_save or []), ("trainable_token_indices", rows)):
            lost = [
                name
                for name in names
                if not any(module.endswith(name) for module in self.modules)
                and not (given.task_type == "SEQ_CLS" and name in _HEADS)
            ]
            if lost:
                raise ModelError(
                    f"`{setting}` of the adapter {self.name} names {_shown(lost[0])}, which fits no module of the base "
                    "model.",
                    hint=_ELSEWHERE,
                )
        if not self.ranks:
            raise ModelError(f"The adapter {self.name} holds no LoRA tensor, such as ….lora_A.weight.", hint=_ELSEWHERE)
        most = max([given.r, *(given.rank_pattern or {}).values()])
        if most > max(self.ranks):
            raise ModelError(
                f"{ADAPTER_CONFIG} of the adapter {self.name} says rank {most}, and its tensors have at most "
                f"{max(self.ranks)}.",
                hint="Its two files do not belong together; ask its author, or choose another revision.",
            )

    def _homeless(self, tensor: str) -> ModelError:
        return ModelError(
            f"The adapter {self.name} holds {_shown(tensor)}, which fits no module of the base model.", hint=_ELSEWHERE
        )

    def _misfit(self, tensor: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> ModelError:
        return ModelError(
            f"The adapter {self.name} does not fit the base model: {_shown(tensor)} has the shape {list(shape)}, and "
            f"{list(expected)} is needed.",
            hint=_ELSEWHERE,
        )


def _sizes(layer: "nn.Module") -> tuple[int, int] | None:
    """Returns how many numbers go into a layer and come out, by its own statement: 4-bit weights have other shapes."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(layer, torch.nn.Linear):
        return layer.in_features, layer.out_features
    if isinstance(layer, Conv1D):
        return layer.weight.shape[0], layer.weight.shape[1]
    return (layer.num_embeddings, layer.embedding_dim) if isinstance(layer, torch.nn.Embedding) else None


def _check_finite(weights: Path, base: "PreTrainedModel", name: str) -> None:
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as tensors:
        for tensor in tensors.offset_keys():
            value = tensors.get_tensor(tensor)
            # What replaces a weight of the base is held in the base's dtype, where large numbers may be infinite.
            whole = "lora_" not in tensor and not tensor.endswith(_ROWS)
            if not bool((value.to(base.dtype) if whole else value.float()).isfinite().all()):
                raise ModelError(
                    f"The adapter {name} holds numbers that are not finite (NaN or infinity) in {_shown(tensor)}.",
                    hint=_DAMAGED,
                )


def _check_loaded(model: "PeftModel", header: Header, name: str) -> None:
    """Refuses an adapter of which a part that acts came from no tensor: peft warns of those at most."""
    from peft import get_peft_model_state_dict

    acting = get_peft_model_state_dict(model, save_embedding_layers=False)
    missing = sorted(set(acting) - set(header.tensors))
    if missing:
        raise ModelError(
            f"The adapter {name} lacks {len(missing)} of the tensors that its {ADAPTER_CONFIG} calls for, such as "
            f"{_shown(missing[0])}.",
            hint="Its two files do not belong together; ask its author, or choose another revision.",
        )
    lost = sorted(set(header.tensors) - set(acting) - _replaced(model))
    if lost:
        raise ModelError(
            f"The adapter {name} holds {_shown(lost[0])}, which its {ADAPTER_CONFIG} does not call for, so that it "
            "would not act.",
            hint="Its two files do not belong together; ask its author, or choose another revision.",
        )


def _replaced(model: "PeftModel") -> set[str]:
    """Returns the names of the base's own tensors, which peft replaces by those of an adapter's file."""
    return {name for name, _ in (*model.named_parameters(remove_duplicate=False), *model.named_buffers())}


def _shown(text: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 200 else f"{text[:200]}…"
