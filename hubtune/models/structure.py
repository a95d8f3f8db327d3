"""What a model is made of, by its config alone: no weight is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hubtune.documents import BOUNDS
from hubtune.errors import ModelError
from hubtune.files import read_bytes
from hubtune.models.base_facts import check_sizes, read_facts
from hubtune.models.load_faults import loading_model
from hubtune.models.remote_code import brings_code
from hubtune.models.stated import load_config
from hubtune.records.model_files import CONFIG

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LayerKind = Literal["linear", "transposed", "embedding"]


@dataclass(frozen=True)
class Structure:
    """A causal language model without its weights.

    Attributes:
        layers: Module that LoRA can change to its kind; `transposed` is a Conv1D, whose weight is (in, out).
        parameters: Parameter or buffer to shape.
        tied: Parameter to the one that it shares its values with; the head to the input embedding, mostly.
        input_embedding: The module's name.
        head: The name of the module that gives the logits.
        prefix: What the names of the model without its head lack: checkpoints come with it and without it.
    """

    layers: dict[str, LayerKind]
    parameters: dict[str, tuple[int, ...]]
    tied: dict[str, str]
    input_embedding: str
    head: str
    prefix: str

    @property
    def vocabulary(self) -> set[str]:
        """The parameters whose first dimension is the number of tokens."""
        names = {f"{self.input_embedding}.weight", f"{self.head}.weight", f"{self.head}.bias"}
        return names & self.parameters.keys()


def read_structure(folder: Path) -> Structure:
    """Builds a model from its config, with parameters that take no memory.

    Raises:
        ModelError: It cannot be built as a causal language model; code is never run for it.
    """
    if brings_code(folder):
        raise ModelError(
            "The base model's architecture is Python code in its repository, which complete weights would need beside "
            "them; hubtune writes models without code.",
            hint="Use the adapter itself, on the base.",
        )
    model = build_empty(folder, "the base model")
    names = {module: name for name, module in model.named_modules()}
    return Structure(
        layers={name: kind for module, name in names.items() if (kind := _kind(module)) is not None},
        parameters={
            name: tuple(parameter.shape)
            for named in (model.named_parameters(remove_duplicate=False), model.named_buffers())
            for name, parameter in named
        },
        tied=dict(model.all_tied_weights_keys),
        input_embedding=names[model.get_input_embeddings()],
        head=names[model.get_output_embeddings()],
        prefix=f"{model.base_model_prefix}." if model.base_model_prefix else "",
    )


def build_empty(folder: Path, name: str, *, classifies: bool = False) -> "PreTrainedModel":
    """Builds a model from the config.json in `folder`, with parameters that take no memory.

    Args:
        folder: Where the config is; no weights are read.
        name: The model's id, for messages.
        classifies: Whether it is built to classify texts, and not to write them.

    Raises:
        ModelError: A size is none, or transformers cannot build it; code of the repository is never run for it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    check_sizes(read_facts(read_bytes(folder / CONFIG, most=BOUNDS.size), name), name)
    auto = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    purpose = "classify texts" if classifies else "write text"
    with loading_model(f"No model that can {purpose} can be built by the {CONFIG} of {name}", folder):
        config = load_config(folder, name)
        with torch.device("meta"):
            model: PreTrainedModel = auto.from_config(config, trust_remote_code=False)
    return model


def _kind(module: "torch.nn.Module") -> LayerKind | None:
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, torch.nn.Linear):
        return "linear"
    if isinstance(module, Conv1D):
        return "transposed"
    return "embedding" if isinstance(module, torch.nn.Embedding) else None
