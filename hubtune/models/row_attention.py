"""Attention of packed rows on the CPU: each row by itself, instead of all of a sequence under a mask.

Under a mask every token of a sequence is multiplied with every other, and most of that is then hidden. What tells the
rows apart is `cu_seq_lens_q`, the cumulative lengths that transformers hands on to attentions of packed sequences.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hubtune.models.isolation import keeps_apart, logits_alone

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_NAME = "hubtune_rows"


def can_attend_by_rows(model: "PreTrainedModel", longest: int) -> bool:
    """Whether a model on the CPU gives packed rows what it gives them alone, where it attends to them one by one.

    Args:
        model: A causal model.
        longest: The most tokens of a row.
    """
    config = model.config.get_text_config()
    spans = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    # An attention that sees less than a whole row needs a mask again.
    if model.device.type != "cpu" or any(span is not None and span < longest for span in spans):
        return False
    if config._attn_implementation != "sdpa":
        return False
    alone = logits_alone(model)
    with attending_by_rows(model):
        return bool(config._attn_implementation == _NAME) and keeps_apart(model, alone, told_lengths=True)


@contextmanager
def attending_by_rows(model: "PreTrainedModel") -> Iterator[None]:
    """Has the model attend to packed rows one by one while the context lasts.

    It takes one packed sequence at a time, with `cu_seq_lens_q`.

    Args:
        model: One that can.
    """
    from transformers import AttentionInterface

    own = model.config.get_text_config()._attn_implementation
    AttentionInterface.register(_NAME, _attention)
    model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(own)


def _attention(
    module: "torch.nn.Module",  # noqa: ARG001
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    *,
    cu_seq_lens_q: "torch.Tensor",
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,  # noqa: ARG001
) -> "tuple[torch.Tensor, None]":
    """Returns the attention's output, of shape (1, length, heads, width); `query` is (1, heads, length, width)."""
    import torch

    assert attention_mask is None, "packed rows come without"
    lengths = cu_seq_lens_q.diff().tolist()
    rows = zip(*(states.split(lengths, dim=2) for states in (query, key, value)), strict=True)
    grouped = query.shape[1] != key.shape[1]
    attended = [
        torch.nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        for q, k, v in rows
    ]
    return torch.cat([row.transpose(1, 2) for row in attended], dim=1), None
