"""Opens the two models that are compared: one model with its adapter off and on, or two whole ones."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.evaluate.bench import Sides
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import enlarge
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.load import load_base
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

OF_RUN = "of this run"
"""What follows "the adapter" in messages about the adapter that a run made."""

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def open_sides(
    run: RunDirectory, training: TrainingRecord, base_folder: Path, name: str, classes: Classes | None = None
) -> Sides:
    """Loads the base model and what the run made of it, in the precision of the training.

    A classifier has no base to compare with: the head that the base lacks would be random.

    Args:
        run: A run with what was trained.
        training: Its record.
        base_folder: The base model's snapshot.
        name: The base model's id, for messages.
        classes: What a classifier tells apart; None for a model that writes text.

    Raises:
        ModelError: One of them cannot be loaded.
    """
    if classes is not None:
        classifier = _open_classifier(run, training, base_folder, name, classes)
        return {"tuned": lambda: nullcontext(classifier)}
    base = load_base(base_folder, name, training.precision)
    if training.vocabulary is not None:
        enlarge(base, training.vocabulary)
    if training.whole:
        tuned = load_base(run.model_dir, "the tuned model", training.precision)
        return {"base": lambda: nullcontext(base), "tuned": lambda: nullcontext(tuned)}
    return adapter_sides(load_adapter(base, run.adapter_dir, OF_RUN))


def adapter_sides(model: "PeftModel") -> Sides:
    """Returns both sides of an adapted model: the base through the same weights, the adapter off."""
    return {"base": lambda: without_adapter(model), "tuned": lambda: nullcontext(model)}


def _open_classifier(
    run: RunDirectory, training: TrainingRecord, base_folder: Path, name: str, classes: Classes
) -> "PreTrainedModel":
    if training.whole:
        return load_classifier(run.model_dir, "the tuned model", training.precision, classes)[0]
    base, _ = load_classifier(base_folder, name, training.precision, classes)
    if training.vocabulary is not None:
        enlarge(base, training.vocabulary)
    return load_adapter(base, run.adapter_dir, OF_RUN)


@contextmanager
def without_adapter(model: "PeftModel") -> Iterator["PeftModel"]:
    """Opens the base model: the same weights with the adapter off."""
    with model.disable_adapter():
        yield model
