"""Classifiers: a base model with a classification head, which gives each class of a text a logit; their predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import RemoteCodeError
from hubtune.models.precision import dtype_of
from hubtune.models.pretrained import Purpose, load_checkpoint, refuse_missing
from hubtune.models.process_group import spread
from hubtune.models.remote_code import brings_code

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

HEADS = ("score", "classifier", "pooler", "pre_classifier", "classification_head")
"""What a base that was not made to classify may lack: the heads of transformers' classifiers, and BERT's pooler before
its head, by the names that these have."""


@dataclass(frozen=True)
class Classes:
    """The classes of a classifier.

    Attributes:
        names: The classes' names, in the order of their ids.
        several: Whether a text may be of several classes, or of none.
        pad_id: The token that fills up shorter texts of a batch; a decoder finds a text's end by it.
    """

    names: tuple[str, ...]
    several: bool
    pad_id: int


def load_classifier(
    folder: Path, name: str, dtype: str, classes: Classes, **options: object
) -> "tuple[PreTrainedModel, list[str]]":
    """Loads a model for classification; weights of the head that its checkpoint lacks are initialized by torch.

    Args:
        folder: The snapshot of a base, or a classifier.
        name: Its id, for messages.
        dtype: A precision that `dtype_of` knows, or `auto` for those of the checkpoint.
        classes: What it has to tell apart.
        options: Handed to `from_pretrained`.

    Returns:
        The model, and the names of the modules that the checkpoint lacks, such as `score`.

    Raises:
        ModelError: It cannot be loaded so, needs code from its repository, or lacks more than a head.
    """
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    if brings_code(folder):
        raise RemoteCodeError(
            f"The architecture of {name} is Python code in its repository, which hubtune runs for models that write "
            "text, not for classifiers.",
            hint="Choose a base model for whose architecture transformers has a sequence classifier.",
        )
    verbosity = logging.get_verbosity()
    # Else it tells of the head that is missing as of something wrong.
    logging.set_verbosity_error()
    try:
        model, lacking = load_checkpoint(
            AutoModelForSequenceClassification,
            folder,
            name,
            Purpose(
                "to classify texts",
                "Choose a base model for whose architecture transformers has a sequence classifier.",
            ),
            {
                "num_labels": len(classes.names),
                "id2label": dict(enumerate(classes.names)),
                "label2id": {label: number for number, label in enumerate(classes.names)},
                "problem_type": "multi_label_classification" if classes.several else "single_label_classification",
                "pad_token_id": classes.pad_id,
                "dtype": "auto" if dtype == "auto" else dtype_of(dtype),
                "device_map": {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"},
                **options,
            },
        )
    finally:
        logging.set_verbosity(verbosity)
    fresh = {tensor: _head(tensor) for tensor in lacking}
    refuse_missing([tensor for tensor, head in fresh.items() if head is None], name, "model")
    return model, sorted({head for head in fresh.values() if head is not None})


def classifies(model: "PreTrainedModel") -> bool:
    """Whether a model, with or without an adapter, is a classifier."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    return type(bare).__name__.endswith("ForSequenceClassification")


def class_logits(model: "PreTrainedModel", input_ids: Sequence[int]) -> "torch.Tensor":
    """Returns the logits of the classes of one text, shape (classes,), in fp32 on the CPU."""
    import torch

    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([list(input_ids)], device=model.device)).logits
    return logits[0].float().cpu()


def give_classes(
    model: "PreTrainedModel",
    batches: "Sequence[Callable[[], dict[str, torch.Tensor]]]",
    on_batch: Callable[[], None] = lambda: None,
) -> list[list[int]]:
    """Returns the predicted classes of each row: the most likely one or, with several labels, those above one half.

    Args:
        model: A classifier.
        batches: What makes each batch of `input_ids`, `attention_mask` and whatever else it takes.
        on_batch: Called after each.
    """
    import torch

    several = model.config.problem_type == "multi_label_classification"

    def given(make: "Callable[[], dict[str, torch.Tensor]]") -> list[list[int]]:
        batch = {name: values.to(model.device) for name, values in make().items() if name != "labels"}
        with torch.inference_mode():
            logits = model(**batch).logits.float()
        # The logistic function is above one half if its argument is above 0.
        chosen = logits > 0 if several else torch.nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1])
        return [row.nonzero().flatten().tolist() for row in chosen.cpu()]

    model.eval()
    return [row for rows in spread([partial(given, make) for make in batches], on_batch) for row in rows]


def _head(tensor: str) -> str | None:
    """Returns the name of the head's part that a tensor belongs to; None if it is the body's."""
    return next((step for step in tensor.split(".") if step in HEADS), None)
