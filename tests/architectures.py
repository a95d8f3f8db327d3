"""Tiny random models of many architectures, in memory, for what hangs on the architecture alone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VOCABULARY = 96
_LLAMA_LIKE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.2,
}
_CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "gpt2": ("GPT2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.2}),
    "llama": ("Llama", _LLAMA_LIKE),
    "qwen2": ("Qwen2", _LLAMA_LIKE),
    "qwen3": ("Qwen3", {**_LLAMA_LIKE, "head_dim": 8}),
    "neox": ("GPTNeoX", {k: v for k, v in _LLAMA_LIKE.items() if k != "num_key_value_heads"}),
    "mistral": ("Mistral", {**_LLAMA_LIKE, "sliding_window": 4}),
    "gemma2": ("Gemma2", {**_LLAMA_LIKE, "head_dim": 8, "final_logit_softcapping": 2.0}),
    # Its head has a bias.
    "phi": ("Phi", _LLAMA_LIKE),
    "cohere": ("Cohere", {**_LLAMA_LIKE, "logit_scale": 0.25}),
    "mixtral": ("Mixtral", {**_LLAMA_LIKE, "num_local_experts": 2, "output_router_logits": True}),
    "bloom": ("Bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.2}),
    "opt": (
        "OPT",
        {
            "hidden_size": 16,
            "word_embed_proj_dim": 16,
            "ffn_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "init_std": 0.2,
        },
    ),
    "mamba": ("Mamba", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}),
}


def make_model(kind: str, **changed: object) -> "PreTrainedModel":
    """Returns a model of that kind, without dropout, the same each time; `changed` are values of its config."""
    import torch
    import transformers

    family, values = _CONFIGS[kind]
    config = getattr(transformers, f"{family}Config")(vocab_size=VOCABULARY, pad_token_id=0, **{**values, **changed})
    for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "hidden_dropout", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    name = f"{family}LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return getattr(transformers, name)(config).eval()
