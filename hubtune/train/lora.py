"""LoRA (Hu et al., 2021): puts adapters on the layers of a base model that fit its architecture."""

from typing import TYPE_CHECKING

from hubtune.config.schema import LoraConfig
from hubtune.errors import TrainingError
from hubtune.records.pins import Pin

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def add_lora(base: "PreTrainedModel", config: LoraConfig, pin: Pin) -> "PeftModel":
    """Returns `base` with LoRA adapters, in fp32, as its only trainable weights.

    The adapter's config names the base by its Hub id and its commit, so that whoever loads it later can load the very
    weights that it was trained on.

    Raises:
        TrainingError: `target_modules` names layers that the model does not have; the message names those it has.
    """
    import peft
    from transformers.pytorch_utils import Conv1D

    _check_layers(base, config.target_modules)
    fused = any(isinstance(module, Conv1D) for module in base.modules())
    targets = config.target_modules
    lora = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM,
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        bias="none",
        target_modules=targets if isinstance(targets, str) else list(targets),
        # Conv1D (GPT-2) stores its weight as (in, out), the transpose of a linear layer's.
        fan_in_fan_out=fused,
    )
    model = peft.get_peft_model(base, lora, autocast_adapter_dtype=True)
    adapter = model.peft_config["default"]
    adapter.base_model_name_or_path = pin.repo
    adapter.revision = pin.commit
    return model


def adapted_layers(model: "PeftModel") -> list[str]:
    """Returns the names of the layers that carry an adapter, each once, such as `q_proj`."""
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if hasattr(module, "lora_A") and hasattr(module, "base_layer")
    }
    return sorted(names)


def _check_layers(base: "PreTrainedModel", targets: list[str] | str) -> None:
    # peft itself takes a list in which one name fits, and leaves out the others without a word.
    if isinstance(targets, str):
        return
    known = _linear_layers(base)
    unknown = [name for name in targets if not any(f".{layer}".endswith(f".{name}") for layer in known)]
    if unknown:
        names = sorted({layer.rpartition(".")[2] for layer in known})
        raise TrainingError(
            f"The base model has no layers named {', '.join(unknown)} that can be adapted.",
            hint=f"`train.lora.target_modules` can name: {', '.join(names)}; or leave it out.",
        )


def _linear_layers(base: "PreTrainedModel") -> list[str]:
    import torch
    from transformers.pytorch_utils import Conv1D

    return [
        name
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not base.get_output_embeddings()
    ]
