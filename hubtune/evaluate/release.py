"""A published release on the bench, loaded as its consumers load it."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.earlier import Earlier
from hubtune.evaluate.measured import Models, measure_models
from hubtune.evaluate.registry import find_metrics
from hubtune.evaluate.sides import adapter_sides
from hubtune.models.classifier import Classes
from hubtune.models.consumer import load_release, load_release_model
from hubtune.models.generation import safe_generation_config, stop_tokens_beside
from hubtune.models.load import context_length, load_base, pad_id
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.evaluate.bench import Sides


def evaluate_release(
    name: str,
    folder: Path,
    base_folder: Path | None,
    tokenizer: "PreTrainedTokenizerBase",
    precision: str,
    config: TuneConfig,
    train: Sequence[Example],
    held_out: Sequence[Example],
    progress: Progress,
    *,
    adapter: bool,
    data: DataRecord | None,
    labels: tuple[Sequence[str], bool] | None = None,
    earlier: Sequence[Example] | None = None,
) -> EvaluationRecord:
    """Measures a release, against its base where there is one that can do the same: a classifier's lacks a head.

    Args:
        name: The release's repository, for messages.
        folder: Its snapshot.
        base_folder: The snapshot of its base; None where that of a whole model is not known.
        tokenizer: The release's.
        precision: What the weights are held in.
        config: Says how to measure.
        train: The rows that the release was trained on.
        held_out: Those that it was not.
        progress: Told of each step.
        adapter: Whether it is an adapter, and not a whole model.
        data: What is recorded of the data; None where it is not that of the release's training.
        labels: Of a classifier, the names of its classes and whether a text may be of several.
        earlier: Held-out rows of an earlier task; None where there is none.

    Raises:
        ConfigError: A metric that the config asks for is not installed.
        ModelError: The release or its base cannot be loaded.
    """
    find_metrics(config.evaluate.metrics)
    with progress.task(f"Loading {name}", 1) as task:
        models = _load(name, folder, base_folder, tokenizer, precision, adapter=adapter, labels=labels)
        task.advance()
    before = None if earlier is None else Earlier(earlier)
    return measure_models(models, config, train, held_out, {}, progress, data, earlier=before)


def _load(
    name: str,
    folder: Path,
    base_folder: Path | None,
    tokenizer: "PreTrainedTokenizerBase",
    precision: str,
    *,
    adapter: bool,
    labels: tuple[Sequence[str], bool] | None,
) -> Models:
    """Loads a release and, where it can do the same, its base; the arguments are those of `evaluate_release`."""
    from transformers import GenerationConfig

    weights = base_folder if adapter else None
    if labels is not None:
        classifier, _ = load_release(folder, weights, precision, name, labels)
        classes = Classes(tuple(labels[0]), labels[1], pad_id(tokenizer))
        sides: Sides = {"tuned": lambda: nullcontext(classifier)}
        generation = GenerationConfig()
    else:
        tuned = load_release_model(folder, weights, precision, name, tokenizer)
        classes, sides = None, {"tuned": lambda: nullcontext(tuned)}
        if adapter:
            sides = adapter_sides(tuned)
        elif base_folder is not None:
            base = load_base(base_folder, f"the base model of {name}", precision)
            sides = {"base": lambda: nullcontext(base), **sides}
        generation = safe_generation_config(weights or folder, tokenizer, name, ends=stop_tokens_beside(folder))
    return Models(
        sides=sides,
        tokenizer=tokenizer,
        generation=generation,
        context=context_length(weights or folder, name),
        precision=precision,
        classes=classes,
    )
