"""LoRA (Hu et al., 2021): adds adapters to the layers of a base model that suit its architecture."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.training import LoraConfig
from hubtune.errors import TrainingError
from hubtune.models.adapter_settings import AdapterSettings, read_settings
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import token_modules
from hubtune.models.classifier import HEADS, classifies
from hubtune.models.precision import hold_in_fp32
from hubtune.records.base import Pin

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


_ALL = "all-linear"


def add_lora(
    base: "PreTrainedModel", config: LoraConfig, pin: Pin, head: Sequence[str] = (), tokens: Sequence[int] = ()
) -> "PeftModel":
    """Returns `base` with LoRA adapters, in fp32, as its only trainable weights.

    Args:
        base: The base model.
        config: The adapter's settings.
        pin: The base's pin.
        head: Of a classifier, the modules that the base lacked: they are trained and saved whole.
        tokens: Ids whose rows of the embedding, and of a head that is not tied to it, are trained and saved.

    The adapter's config names the base by its Hub id and its commit, so that whoever loads it later can load the very
    weights that it was trained on.

    Raises:
        TrainingError: `target_modules` names or fits no layers of the model, or `modules_to_save` none of its modules;
            the message names those it has.
        ModelError: Its head does not let rows for new tokens be trained.
    """
    import peft
    from transformers.pytorch_utils import Conv1D

    _check_layers(base, config.target_modules)
    _check_whole(base, config.modules_to_save)
    whole = list(dict.fromkeys([*config.modules_to_save, *head]))
    fused = any(isinstance(module, Conv1D) for module in base.modules())
    targets = _targets(base, config.target_modules)
    rows = token_modules(base, whole, pin.repo) if tokens else []
    lora = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS if classifies(base) else peft.TaskType.CAUSAL_LM,
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        use_rslora=config.rslora,
        modules_to_save=whole or None,
        trainable_token_indices={name: list(tokens) for name in rows} or None,
        bias="none",
        target_modules=targets,
        # Conv1D (GPT-2) stores its weight as (in, out), the transpose of a linear layer's.
        fan_in_fan_out=fused,
    )
    model = peft.get_peft_model(base, lora, autocast_adapter_dtype=True)
    return _made(model, base, pin)


def continue_lora(base: "PreTrainedModel", config: LoraConfig, pin: Pin, folder: Path, name: str) -> "PeftModel":
    """Returns `base` with a published adapter whose weights, in fp32, are trained further.

    Args:
        base: The base model.
        config: The settings of the config, which have to be the adapter's.
        pin: The base's pin.
        folder: The adapter's snapshot.
        name: The adapter, as REPO@COMMIT, for messages.

    Raises:
        TrainingError: The adapter is of another kind, of other settings, or for another base.
        ModelError: It cannot be loaded, or does not fit the base model.
    """
    check_settings(read_settings(folder, name, TrainingError), config, pin, name)
    return _made(load_adapter(base, folder, name, trainable=True), base, pin)


def check_settings(stated: AdapterSettings, config: LoraConfig, pin: Pin, name: str) -> None:
    """Refuses to train an adapter further whose settings are not those of the config, or which is for another base.

    Args:
        stated: The adapter's settings.
        config: Those of the run's config.
        pin: The base's pin.
        name: The adapter, as REPO@COMMIT, for messages.

    Raises:
        TrainingError: It differs; the message says in what, and the hint what to set.
    """
    if not isinstance(stated.target_modules, list):
        raise TrainingError(
            f"The adapter {name} does not list its layers by name, so it cannot be trained further.",
            hint="Leave `base.adapter` out to train a new one.",
        )
    if stated.trainable_token_indices:
        raise TrainingError(
            f"The adapter {name} brings tokens of its own, so it cannot be trained further.",
            hint="Train a new one, with `train.added_tokens`.",
        )
    wanted = {"r": config.r, "lora_alpha": config.alpha, "use_rslora": config.rslora}
    keys = {"r": "r", "lora_alpha": "alpha", "use_rslora": "rslora"}
    odd = [key for key, value in wanted.items() if getattr(stated, key) != value]
    if odd:
        raise TrainingError(
            f"The adapter {name} has {keys[odd[0]]} {_plain(getattr(stated, odd[0]))}, and train.lora.{keys[odd[0]]} "
            f"is {wanted[odd[0]]}; an adapter keeps its shape.",
            hint="Set " + ", ".join(f"`train.lora.{keys[key]}: {_plain(getattr(stated, key))}`" for key in odd) + ".",
        )
    base, revision = stated.base_model_name_or_path, stated.revision
    if base != pin.repo or revision not in (None, pin.commit):
        raise TrainingError(
            f"The adapter {name} was trained on {base}{f' at {revision}' if revision else ''}, and the base here is "
            f"{pin.repo} at {pin.commit}; an adapter fits the weights that it was trained on.",
            hint="Name that base as `base.repo`, and its commit as `base.revision`.",
        )


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _made(model: "PeftModel", base: "PreTrainedModel", pin: Pin) -> "PeftModel":
    """Names the base in the adapter's config, and has what is trained computed in fp32."""
    import peft

    adapter = model.peft_config["default"]
    adapter.base_model_name_or_path = pin.repo
    adapter.revision = pin.commit
    for module in model.modules():
        if isinstance(module, peft.utils.ModulesToSaveWrapper):
            trained = [weight for weight in module.parameters() if weight.requires_grad]
            hold_in_fp32(module, trained, base.dtype)
    return model


def adapted_layers(model: "PeftModel") -> list[str]:
    """Returns the names of the layers that carry an adapter, each once, such as `q_proj`."""
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if hasattr(module, "lora_A") and hasattr(module, "base_layer")
    }
    return sorted(names)


def _targets(base: "PreTrainedModel", given: list[str] | str) -> list[str] | str:
    """Returns what peft takes for the layers to adapt; those that a pattern fits by their whole names.

    A pattern is not handed on: whoever loads the adapter would have to run a stranger's regular expression.
    """
    if not isinstance(given, str) or given == _ALL:
        return given
    layers = _linear_layers(base)
    found = [layer for layer in layers if re.fullmatch(given, layer)]
    if not found:
        raise TrainingError(
            f"`train.lora.target_modules` is {given!r}, which fits the whole name of no layer that can be adapted.",
            hint=f"Their names are such as {', '.join([*layers[:3], layers[-1]])}; a . stands for any character.",
        )
    return found


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


def _check_whole(base: "PreTrainedModel", names: Sequence[str]) -> None:
    # peft passes over names that fit nothing without a word.
    known = [name for name, _ in base.named_modules()]
    unknown = [name for name in names if not any(module.endswith(name) for module in known)]
    if unknown:
        ends = sorted({last for module in known if not (last := module.rpartition(".")[2]).isdigit()} - {""})
        raise TrainingError(
            f"The base model has no modules named {', '.join(unknown)} that could be trained whole.",
            hint=f"`train.lora.modules_to_save` can name: {', '.join(ends)}.",
        )


def _linear_layers(base: "PreTrainedModel") -> list[str]:
    import torch
    from transformers.pytorch_utils import Conv1D

    return [
        name
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
        and module is not base.get_output_embeddings()
        and not (classifies(base) and name.partition(".")[0] in HEADS)
    ]
