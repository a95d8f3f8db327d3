"""A training method: makes the base model trainable, names what it trains, and saves the trained weights."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hubtune.config.training import TrainConfig
from hubtune.errors import TrainingError
from hubtune.files import file_errors
from hubtune.models.adapters import PinnedAdapter
from hubtune.models.added_tokens import begin_as_mean, enlarge
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.four_bit import load_base_4bit, load_classifier_4bit
from hubtune.models.pretrained import PinnedBase, check_finite, load_base
from hubtune.models.tuned_checkpoint import write_classifier, write_tuned
from hubtune.records.base import Progress, new_folder, sha256_file
from hubtune.records.release import TOKENIZER, TOKENIZER_FILES
from hubtune.records.rundir import RunDirectory
from hubtune.train.methods.lora import adapted_layers, add_lora, continue_lora
from hubtune.train.methods.whole import DEFAULT_BLOCKS, train_all, train_last_blocks, train_matching

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


_FILES = ("adapter_config.json", "adapter_model.safetensors")
_NOTHING: Mapping[str, str] = MappingProxyType({})


def save_adapter(model: "PeftModel", target: Path, beside: Mapping[str, str] = _NOTHING) -> dict[str, str]:
    """Saves the adapter beside `target`, then renames it into place.

    Args:
        model: The base with its adapter.
        target: The folder to make; what it held is replaced.
        beside: Text files that belong to the adapter: name to content.

    Returns:
        The name of each file and its sha256.

    Raises:
        DiskFullError: There is no room; what was at `target` is unchanged.
    """
    with file_errors(target.parent):
        unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=".adapter-"))
        try:
            _write(model, unfinished, beside)
            if target.exists():
                shutil.rmtree(target)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return {name: sha256_file(target / name) for name in (*_FILES, *beside)}


def _write(model: "PeftModel", folder: Path, beside: Mapping[str, str]) -> None:
    # Else peft asks the Hub for the base's config, at main, to see whether embeddings were resized.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    _sort_layers(folder / _FILES[0])
    for path in list(folder.iterdir()):
        if path.name not in _FILES:
            path.unlink()
    for name, content in beside.items():
        (folder / name).write_text(content, encoding="utf-8")
    for name in (*_FILES, *beside):
        (folder / name).chmod(0o644)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    folder.chmod(0o755)


def _sort_layers(config: Path) -> None:
    # peft keeps the names in a set, whose order differs from process to process: the same run would give other bytes.
    values = json.loads(config.read_text(encoding="utf-8"))
    values["target_modules"] = sorted(values["target_modules"])
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Trainable:
    """A model whose trainable parameters are in fp32 and the only ones that take gradients.

    Attributes:
        layers: What is trained: the layers with an adapter, the blocks, or the patterns.
        whole: Whether the model's own weights are trained, and no adapter.
        classes: What a classifier distinguishes; None if the model writes text.
        vocabulary: Rows of the embedding, if new tokens needed more than the base has.
    """

    model: "PreTrainedModel"
    layers: list[str]
    whole: bool
    base_folder: Path
    classes: Classes | None = None
    vocabulary: int | None = None

    def counts(self) -> tuple[int, int]:
        """Returns how many parameters are trained, and how many there are."""
        sizes = [(_size(parameter), parameter.requires_grad) for parameter in self.model.parameters()]
        return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)

    def table(self) -> list[tuple[str, int, int]]:
        """Returns for each top-level part, and each block, its trained and its total number of parameters."""
        parts: dict[str, list[int]] = {}
        for name, parameter in self.model.named_parameters():
            counts = parts.setdefault(_part(name), [0, 0])
            counts[0] += _size(parameter) if parameter.requires_grad else 0
            counts[1] += _size(parameter)
        return [(name, trained, total) for name, (trained, total) in parts.items()]

    def require_finite(self, step: int) -> None:
        """Refuses weights that have become NaN or infinite; the losses of the last steps may not have been logged.

        Args:
            step: Steps that were done.

        Raises:
            TrainingError: The run has diverged.
        """
        for name, weight in self.model.named_parameters():
            if weight.requires_grad and not bool(weight.isfinite().all()):
                raise TrainingError(
                    f"The weights of {name} became NaN or infinite at step {step}: the training diverged.",
                    hint="Lower `train.learning_rate` (a tenth is a good next try).",
                )

    def save(self, run: RunDirectory, beside: Mapping[str, str], progress: Progress) -> dict[str, str]:
        """Puts the adapter, or the whole model, into the run directory, complete or not at all.

        Args:
            run: Where to.
            beside: Text files that belong to it: name to content.
            progress: Reports the bytes of a whole model.

        Returns:
            The name of each file and its sha256.
        """
        if not self.whole:
            return save_adapter(self.model, run.adapter_dir, beside)
        with new_folder(run.model_dir, replace=True) as folder:
            if self.classes is not None:
                write_classifier(self.base_folder, self.model, folder)
            else:
                write_tuned(self.base_folder, self.model, folder, progress)
            if TOKENIZER in beside:
                # The base's would be loaded in place of the one with the new tokens.
                for name in TOKENIZER_FILES:
                    (folder / name).unlink(missing_ok=True)
            for name, content in beside.items():
                (folder / name).write_text(content, encoding="utf-8")
            return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}


def make_trainable(
    settings: TrainConfig,
    base: PinnedBase,
    precision: str,
    classes: Classes | None = None,
    adapter: PinnedAdapter | None = None,
) -> Trainable:
    """Loads the base model and makes it trainable by the config's method.

    Args:
        settings: The config's section.
        base: The base model, its tokenizer with the tokens that the config adds.
        precision: What an adapter's base is held in, and for `qlora` computed in. A base whose own weights are trained
            is held in fp32; what is frozen of it is published as it was stored, to the bit.
        classes: What it has to tell apart; None for a model that writes text. A head that the base lacks is made by
            torch's random numbers and trained by every method.
        adapter: The adapter that is trained further; None for a new one.

    Raises:
        ModelError: The base cannot be loaded, or its weights are no numbers.
        TrainingError: What is to be trained does not exist.
    """
    model, head = _load(settings, base, precision, classes)
    check_finite(model, base.name)
    tokens: list[int] = []
    vocabulary = None
    if settings.added_tokens:
        tokens = base.tokenizer.convert_tokens_to_ids(settings.added_tokens)
        vocabulary = enlarge(model, len(base.tokenizer))
        begin_as_mean(model, tokens)
    if not settings.whole:
        if adapter is None:
            adapted = add_lora(model, settings.lora, base.pin, head, tokens)
        else:
            adapted = continue_lora(model, settings.lora, base.pin, adapter.folder, adapter.name)
        return Trainable(adapted, adapted_layers(adapted), False, base.folder, classes, vocabulary)
    layers = _choose_layers(model, settings)
    for name, parameter in model.named_parameters():
        if set(head) & set(name.split(".")):
            parameter.requires_grad_(True)
    return Trainable(model, layers, True, base.folder, classes, vocabulary)


def _choose_layers(model: "PreTrainedModel", settings: TrainConfig) -> list[str]:
    """Makes those of the model's own weights trainable that the config names; returns what is trained."""
    if settings.method == "full":
        return train_all(model)
    if settings.trainable is not None:
        return train_matching(model, settings.trainable)
    return train_last_blocks(model, settings.last_blocks or DEFAULT_BLOCKS)


def _load(
    settings: TrainConfig, base: PinnedBase, precision: str, classes: Classes | None
) -> "tuple[PreTrainedModel, list[str]]":
    """Loads the base as the method holds it; returns it and the modules of a head that it lacks."""
    folder, name = base.folder, base.name
    if classes is not None:
        if settings.method == "qlora":
            return load_classifier_4bit(folder, name, precision, classes)
        return load_classifier(folder, name, "fp32" if settings.whole else precision, classes)
    if settings.method == "qlora":
        return load_base_4bit(folder, name, precision), []
    return load_base(folder, name, "fp32" if settings.whole else precision), []


def _size(parameter: "object") -> int:
    # 4-bit weights are packed two to a byte and know their own number.
    packed = getattr(getattr(parameter, "quant_state", None), "shape", None)
    return int(packed.numel()) if packed is not None else int(parameter.numel())  # type: ignore[attr-defined]


def _part(name: str) -> str:
    """Returns the block that a parameter belongs to, else its module."""
    steps = name.split(".")
    number = next((place for place, step in enumerate(steps) if step.isdigit()), None)
    return ".".join(steps[: number + 1] if number is not None else steps[:-1])
