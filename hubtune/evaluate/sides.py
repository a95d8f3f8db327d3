"""Opens the two models that are compared: one model with its adapter off and on, or two whole ones."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.evaluate.bench import Sides
from hubtune.models.load import load_adapter, load_base
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from peft import PeftModel


def open_sides(run: RunDirectory, training: TrainingRecord, base_folder: Path, name: str) -> Sides:
    """Loads the base model and what the run made of it, in the precision of the training.

    Args:
        run: A run with what was trained.
        training: Its record.
        base_folder: The base model's snapshot.
        name: The base model's id, for messages.

    Raises:
        ModelError: One of them cannot be loaded.
    """
    base = load_base(base_folder, name, training.precision)
    if training.whole:
        tuned = load_base(run.model_dir, "the tuned model", training.precision)
        return {"base": lambda: nullcontext(base), "tuned": lambda: nullcontext(tuned)}
    return adapter_sides(load_adapter(base, run.adapter_dir))


def adapter_sides(model: "PeftModel") -> Sides:
    """Returns both sides of an adapted model: the base through the same weights, the adapter off."""
    return {"base": lambda: without_adapter(model), "tuned": lambda: nullcontext(model)}


@contextmanager
def without_adapter(model: "PeftModel") -> Iterator["PeftModel"]:
    """Opens the base model: the same weights with the adapter off."""
    with model.disable_adapter():
        yield model
