"""Trains the weights of the base model: all of them, or those of some layers while the others are frozen."""

import fnmatch
from typing import TYPE_CHECKING

import torch

from hubtune.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DEFAULT_BLOCKS = 2
"""Blocks that `freeze` trains if the config does not say: enough to adapt the style, at a fraction of the cost."""


def train_all(model: "PreTrainedModel") -> list[str]:
    """Makes every parameter trainable; returns what is trained, in words."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return ["every parameter"]


def train_last_blocks(model: "PreTrainedModel", count: int) -> list[str]:
    """Freezes all but the last blocks and what comes after them: the final norm, and a head of its own.

    A head that is the input embedding stays frozen.

    Returns:
        The names of the modules that are trained.

    Raises:
        TrainingError: The model has fewer blocks, or none that can be told.
    """
    name, blocks = _blocks(model)
    if count > len(blocks):
        raise TrainingError(
            f"`train.last_blocks` is {count}, and the base model has {len(blocks)} blocks.",
            hint=f"Choose 1 to {len(blocks)}, or train every weight: `train.method: full`.",
        )
    chosen = [f"{name}.{number}" for number in range(len(blocks) - count, len(blocks))]
    while name:
        name, _, own = name.rpartition(".")
        siblings = [child for child, _ in model.get_submodule(name).named_children()]
        chosen += [f"{name}.{child}" if name else child for child in siblings[siblings.index(own) + 1 :]]
    frozen = {id(parameter) for parameter in model.get_input_embeddings().parameters()}
    return _train_only(
        model,
        [
            parameter
            for parameter, value in model.named_parameters()
            if id(value) not in frozen and any(f"{parameter}.".startswith(f"{module}.") for module in chosen)
        ],
        chosen,
    )


def train_matching(model: "PreTrainedModel", patterns: list[str]) -> list[str]:
    """Freezes all parameters but those whose name fits a pattern, such as `model.layers.11.*`.

    Raises:
        TrainingError: A pattern fits none; the message names some that there are.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            shown = ", ".join([*names[:3], "…", *names[-3:]]) if len(names) > 6 else ", ".join(names)
            raise TrainingError(
                f"`train.trainable` names {pattern!r}, which fits no parameter of the base model.",
                hint=f"Its parameters are: {shown}. As in model.layers.11.*, a * stands for anything.",
            )
    return _train_only(model, [name for name in names if any(fnmatch.fnmatch(name, one) for one in patterns)], patterns)


def _train_only(model: "PreTrainedModel", names: list[str], chosen: list[str]) -> list[str]:
    trained = set(names)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    return [module for module in chosen if any(_belongs(name, module) for name in names)]


def _belongs(parameter: str, module: str) -> bool:
    return fnmatch.fnmatch(parameter, module) or parameter.startswith(f"{module}.")


def _blocks(model: "PreTrainedModel") -> "tuple[str, torch.nn.ModuleList]":
    """Returns the list of the model's blocks and its name."""
    layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return name, module
    raise TrainingError(
        "The base model's blocks cannot be told from its other layers.",
        hint="Say what to train as patterns of parameter names: `train.trainable`.",
    )
