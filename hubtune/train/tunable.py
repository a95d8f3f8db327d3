"""What a method hands to the training loop: a model some of whose weights are trained, and how to save them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Tunable:
    """A model that is ready to be trained.

    Attributes:
        model: The model; the weights that require a gradient are trained, and are in fp32.
        method: The method's name in the config and the record.
        title: What to call the method when talking to the user, such as `LoRA`.
        target_modules: The names of the layers that it trains, each once.
        save: Saves what was trained into the run directory, whole or not at all; returns the files' sha256 by name.
    """

    model: "PreTrainedModel"
    method: str
    title: str
    target_modules: list[str]
    save: Callable[[], dict[str, str]]

    @property
    def weights(self) -> "dict[str, torch.nn.Parameter]":
        """The trained weights by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    @property
    def trained(self) -> int:
        """How many parameters are trained."""
        return sum(weight.numel() for weight in self.weights.values())

    @property
    def parameters(self) -> int:
        """How many parameters there are in all."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def summary(self) -> str:
        """One line for the user."""
        share = 100 * self.trained / self.parameters
        return f"{self.trained:,} of {self.parameters:,} parameters are trained ({share:.2f} %)"
