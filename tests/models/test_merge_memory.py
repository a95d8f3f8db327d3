"""Merging takes the memory of a few tensors, whatever the model's size."""

import json
from pathlib import Path

from safetensors.torch import save_file


def big_base(folder: Path, *, hidden: int, layers: int, vocabulary: int) -> Path:
    """Writes a random Llama in fp32, one layer after the other, so that making it takes little memory too."""
    import torch
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        tie_word_embeddings=False,
        architectures=["LlamaForCausalLM"],
    )
    config.save_pretrained(folder)
    inner = 4 * hidden
    shapes = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (hidden, hidden)}
    shapes |= {"self_attn.v_proj": (hidden, hidden), "self_attn.o_proj": (hidden, hidden)}
    shapes |= {"mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner)}
    shapes |= {"input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
    places: dict[str, str] = {}
    halves = (range(layers // 2), range(layers // 2, layers))
    for number, half in enumerate(halves, 1):
        names = {f"model.layers.{layer}.{name}.weight": shape for layer in half for name, shape in shapes.items()}
        first = {"model.embed_tokens.weight": (vocabulary, hidden)}
        last = {"lm_head.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
        names |= first if number == 1 else last
        shard = f"model-0000{number}-of-00002.safetensors"
        weights = {name: torch.empty(shape).normal_(std=0.02) for name, shape in names.items()}
        save_file(weights, folder / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(names, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def small_adapter(folder: Path, *, hidden: int, layers: int) -> Path:
    """Writes an adapter for some layers of such a base."""
    import torch

    config = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 16, "lora_alpha": 32}
    config["target_modules"] = ["q_proj", "up_proj"]
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    weights = {}
    for layer in range(layers):
        for name, out in (("self_attn.q_proj", hidden), ("mlp.up_proj", 4 * hidden)):
            module = f"base_model.model.model.layers.{layer}.{name}"
            weights |= {
                f"{module}.lora_A.weight": torch.randn(16, hidden),
                f"{module}.lora_B.weight": torch.randn(out, 16),
            }
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def test_peak_memory_stays_below_that_of_a_shard(full_trials, peak_memory, tmp_path):
    """A billion parameters in the full trial; 34 million of the same form in the sample."""
    hidden, layers, vocabulary = (2048, 13, 32000) if full_trials else (512, 6, 8000)
    base = big_base(tmp_path / "base", hidden=hidden, layers=layers, vocabulary=vocabulary)
    shards = [path.stat().st_size for path in base.glob("*.safetensors")]
    assert (sum(shards) > 3.9e9) is full_trials
    adapter = small_adapter(tmp_path / "adapter", hidden=hidden, layers=layers)

    found = peak_memory("tests.models.merge_in_a_child", base, adapter, tmp_path / "out")

    assert found["shards"] == len(shards) == 2
    # Of the largest layer that changes: the weight, the factors' product, and what comparing them takes.
    assert found["above"] < 6 * 4 * 4 * hidden * hidden + 32 * 2**20
    if full_trials:
        assert found["above"] < 1.3 * max(shards) + 2**30
