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
    try:
        model = peft.get_peft_model(base, lora, autocast_adapter_dtype=True)
    except ValueError as error:
        raise TrainingError(
            f"The layers {targets!r} cannot be adapted: {str(error).splitlines()[0]}",
            hint=f"`train.lora.target_modules` can name: {', '.join(_linear_names(base))}; or leave it out.",
        ) from error
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


def _linear_names(base: "PreTrainedModel") -> list[str]:
    import torch
    from transformers.pytorch_utils import Conv1D

    names = {
        name.rpartition(".")[2]
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not base.get_output_embeddings()
    }
    return sorted(names)
