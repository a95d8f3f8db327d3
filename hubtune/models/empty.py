"""Finds out whether a base can be loaded, before its weights are fetched: by an empty model of its config."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.models.structure import build_empty

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_APART = "The repository's files do not belong together; choose another revision or base model."


def empty_base(folder: Path, name: str, classes: int | None) -> "PreTrainedModel":
    """Builds a base without weights.

    Args:
        folder: Where its config.json is.
        name: Its id, for messages.
        classes: How many classes it is to tell apart; 0 for a model that writes text, None if the rows have yet to
            tell which it is.

    Raises:
        ModelError: transformers cannot build it; if it is not known for which of the two, for neither.
    """
    try:
        return build_empty(folder, name, classifies=bool(classes))
    except ModelError:
        if classes is not None:
            raise
        return build_empty(folder, name, classifies=True)


def check_shapes(model: "PreTrainedModel", stored: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Refuses weights whose shapes are not those that the config calls for.

    Args:
        model: The empty model.
        stored: Tensors of one of its files and their shapes; names that the model has not are passed over, as
            transformers renames some.
        name: The base's id, for messages.

    Raises:
        ModelError: One has another shape; the message names it.
    """
    expected = {key: tuple(value.shape) for key, value in model.named_parameters(remove_duplicate=False)}
    prefix = f"{model.base_model_prefix}."
    for tensor, shape in stored.items():
        wanted = expected.get(tensor) or expected.get(prefix + tensor)
        if wanted is not None and wanted != shape:
            raise ModelError(
                f"The weights of {name} are not those of its config.json: {tensor} has the shape {list(shape)}, and "
                f"{list(wanted)} is needed.",
                hint=_APART,
            )
