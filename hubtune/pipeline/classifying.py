"""Runs whose rows are classified: what their records say of the classes, and which jobs are not for them."""

from typing import TYPE_CHECKING

from hubtune.errors import ConfigError
from hubtune.records.data import DataRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.models.classifier import Classes


def classes_of(data: DataRecord, tokenizer: "PreTrainedTokenizerBase") -> "Classes | None":
    """Returns what a run's model tells apart; None where it writes text."""
    from hubtune.models.classifier import Classes
    from hubtune.models.load import pad_id

    return None if data.labels is None else Classes(tuple(data.labels), data.several_labels, pad_id(tokenizer))


def refuse_classifier(data: DataRecord, job: str) -> None:
    """Refuses a job that is for models that write text.

    Raises:
        ConfigError: The run's model is a classifier.
    """
    if data.labels is not None:
        raise ConfigError(
            f"A classifier's adapter cannot be {job}.",
            hint="Publish the adapter, or train complete weights: `train.method: full` or `freeze`.",
        )
