"""Bases and adapters to merge: architectures that differ in what merges trip over, and adapters of all kinds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.models.lora_merge import Merged, write_merged
from hubtune.records.base import new_folder
from tests.listener import Listener
from tests.tiny_models import VOCABULARY

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

# So small that every base has at least two shards.
_SHARD = "40KB"


def merge(base: Path, adapter: Path, out: Path) -> Merged:
    """Merges as `hubtune merge` does: `out` gets the whole model, or nothing."""
    with new_folder(out) as folder:
        return write_merged(base, adapter, folder, Listener())


def make_base(kind: str, folder: Path, *, dtype: str = "float32", shard: str = _SHARD, **settings: object) -> Path:
    """Saves a random model without a tokenizer and returns its folder."""
    import torch
    import transformers

    name = {"llama": "Llama", "qwen2": "Qwen2", "gpt_neox": "GPTNeoX", "gpt2": "GPT2"}[kind]
    sizes: dict[str, object] = {
        "vocab_size": VOCABULARY,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.2,
    }
    if kind == "gpt2":
        sizes |= {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    else:
        sizes |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"max_position_embeddings": 64} | ({} if kind == "gpt_neox" else {"num_key_value_heads": 1})
    config = getattr(transformers, f"{name}Config")(**{**sizes, **settings})
    model_class = getattr(transformers, {"gpt2": "GPT2LMHeadModel"}.get(kind, f"{name}ForCausalLM"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = model_class(config)
        for parameter in model.parameters():
            # Norms and biases start as ones and zeros, which would hide that they were mixed up.
            torch.nn.init.normal_(parameter, std=0.2)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    return folder


@dataclass(frozen=True)
class AdapterCase:
    """An adapter to be made; `options` are those of `peft.LoraConfig`."""

    options: dict[str, object] = field(default_factory=dict)
    dtype: str = "float32"
    tokens: int | None = None


def make_adapter(base: Path, folder: Path, case: AdapterCase = AdapterCase()) -> Path:
    """Saves an adapter for `base` whose every tensor differs from where it started, and returns its folder."""
    import peft
    import torch

    options = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **case.options}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        adapted = peft.get_peft_model(_load(base, case.tokens), peft.LoraConfig(task_type="CAUSAL_LM", **options))
        for name, weight in adapted.named_parameters():
            if weight.requires_grad or (case.tokens and ("embed" in name or "lm_head" in name)):
                weight.add_(0.1 * torch.randn(weight.shape))
    adapted.to(getattr(torch, case.dtype))
    adapted.save_pretrained(str(folder), save_embedding_layers=case.tokens is not None)
    # It names the base by its path, which no Hub takes.
    (folder / "README.md").unlink()
    return folder


def unmerged(base: Path, adapter: Path, *, tokens: int | None = None) -> "PeftModel":
    """Loads the two as a consumer does."""
    import peft

    return peft.PeftModel.from_pretrained(_load(base, tokens), str(adapter))


def logits_of(model: "PreTrainedModel") -> "torch.Tensor":
    """The logits at sixty tokens, the ones that some adapters change among them."""
    import torch

    with torch.inference_mode():
        return model.eval()(input_ids=torch.arange(0, 360, 6)[None]).logits[0].float()


def _load(base: Path, tokens: int | None) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    if tokens is not None:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    return model
