"""Loads a published release as its consumers do: from the files of its repository and of its base, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import enlarge_for
from hubtune.models.base_facts import read_facts
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.config_files import generation_config
from hubtune.models.generation import safe_generation_config
from hubtune.models.pretrained import check_vocabulary, load_base, load_tokenizer, pad_id
from hubtune.records.merge import ADAPTER_CONFIG, GENERATION_CONFIG, MODEL_CONFIG

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_release(
    release_folder: Path,
    base_folder: Path | None,
    precision: str,
    name: str,
    labels: tuple[Sequence[str], bool] | None = None,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Loads a release's model and its tokenizer.

    Args:
        release_folder: The release's snapshot: an adapter or a whole model, with its tokenizer.
        base_folder: The snapshot of the base that an adapter needs; None if the release is a whole model.
        precision: What the weights of the base, or of the whole model, are held in.
        name: The release, as REPO@COMMIT, for messages.
        labels: Of a classifier, the names of its classes and whether a text may be of several.

    Returns:
        The model, with its adapter where it has one and with the release's generation settings; and the tokenizer.

    Raises:
        ModelError: A part is missing or damaged, or they do not fit each other.
    """
    tokenizer = load_tokenizer(release_folder, name)
    if labels is not None:
        classes = Classes(tuple(labels[0]), labels[1], pad_id(tokenizer))
        weights = _Weights(release_folder, base_folder, precision, name)
        return _load_classifier(weights, classes, tokenizer), tokenizer
    return load_release_model(release_folder, base_folder, precision, name, tokenizer), tokenizer


def load_release_model(
    release_folder: Path,
    base_folder: Path | None,
    precision: str,
    name: str,
    tokenizer: "PreTrainedTokenizerBase",
) -> "PreTrainedModel":
    """Loads the model alone, for `tokenizer`, which is the release's; see `load_release`."""
    _refuse_classifier(release_folder, name)
    weights = base_folder or release_folder
    model = load_base(weights, name if base_folder is None else f"the base model of {name}", precision)
    if base_folder is not None:
        enlarge_for(model, tokenizer, release_folder, name)
    check_vocabulary(model, tokenizer, name)
    if base_folder is not None:
        model = load_adapter(model, release_folder, name)
    model.generation_config = _generation_config(release_folder, weights, tokenizer, name)
    return model.eval()


def _refuse_classifier(folder: Path, name: str) -> None:
    for file, key in ((ADAPTER_CONFIG, "task_type"), (MODEL_CONFIG, "architectures")):
        stated = str(read_facts((folder / file).read_bytes(), name).get(key)) if (folder / file).is_file() else ""
        if "SEQ_CLS" in stated or "ForSequenceClassification" in stated:
            raise ModelError(
                f"{name} classifies texts and cannot write any.",
                hint="Its card has a program that loads it; `hubtune verify` checks it.",
            )


@dataclass(frozen=True)
class _Weights:
    """Where a release's weights lie; the attributes are the arguments of `load_release`."""

    release: Path
    base: Path | None
    precision: str
    name: str


def _load_classifier(weights: _Weights, classes: Classes, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    release, name = weights.release, weights.name
    if weights.base is None:
        return load_classifier(release, name, weights.precision, classes)[0].eval()
    base, _ = load_classifier(weights.base, f"the base model of {name}", weights.precision, classes)
    enlarge_for(base, tokenizer, release, name)
    return load_adapter(base, release, name).eval()


def _generation_config(
    release_folder: Path, weights: Path, tokenizer: "PreTrainedTokenizerBase", name: str
) -> "GenerationConfig":
    if not (release_folder / GENERATION_CONFIG).is_file():
        return safe_generation_config(weights, tokenizer, name)
    return generation_config(release_folder, name)
