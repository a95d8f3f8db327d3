"""Attention of packed rows on the CPU: each row separately, instead of the whole sequence under a mask.

With a mask, every token of a sequence is multiplied with every other, and most of the products are then hidden. The
rows are told apart by `cu_seq_lens_q`, the cumulative lengths that transformers passes to attention functions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# In fp32 two batch shapes were seen to differ by about 1e-6 of the largest logit, in bf16 by about 1e-2; rows that see
# each other differ by a tenth of it and more.
_NOISE = {"torch.float32": 1e-4, "torch.bfloat16": 5e-2, "torch.float16": 5e-3}
_LENGTHS = (5, 3, 7)
_NAME = "hubtune_rows"


def rows_are_isolated(model: "PreTrainedModel") -> bool:
    """Whether each row of a packed sequence has the same logits as on its own.

    Three short rows of seeded tokens are put through the model packed and one by one. An architecture that knows no
    positions, or draws attention from elsewhere (ALiBi, state spaces), answers no.
    """
    return keeps_apart(model, logits_alone(model))


def logits_alone(model: "PreTrainedModel") -> "torch.Tensor":
    """Returns the logits of the test rows, each computed on its own; shape (tokens, vocabulary)."""
    with _asking(model):
        return torch.cat([model(input_ids=row, use_cache=False).logits[0].float() for row in _rows(model)])


def keeps_apart(model: "PreTrainedModel", alone: "torch.Tensor", *, told_lengths: bool = False) -> bool:
    """Whether the packed test rows have these logits.

    Args:
        model: A causal model.
        alone: What `logits_alone` gave.
        told_lengths: Whether to hand the rows' cumulative lengths to the model's attention.
    """
    rows = _rows(model)
    positions = [torch.arange(length, device=model.device)[None] for length in _LENGTHS]
    told = {"cu_seq_lens_q": torch.tensor([0, *_LENGTHS]).cumsum(0)} if told_lengths else {}
    try:
        with _asking(model):
            logits = model(
                input_ids=torch.cat(rows, dim=1), position_ids=torch.cat(positions, dim=1), use_cache=False, **told
            ).logits[0]
    except TypeError:
        # The architecture takes no position_ids, or hands nothing on to its attention.
        return False
    apart = (alone - logits.float()).abs().max()
    return bool(apart <= _NOISE.get(str(model.dtype), 1e-4) * max(float(alone.abs().max()), 1e-6))


def _rows(model: "PreTrainedModel") -> "list[torch.Tensor]":
    vocabulary = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (1, length), generator=generator).to(model.device) for length in _LENGTHS]


@contextmanager
def _asking(model: "PreTrainedModel") -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def can_attend_by_rows(model: "PreTrainedModel", longest: int) -> bool:
    """Whether a model on the CPU gives packed rows the same logits with attention row by row.

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
    """Makes the model attend to packed rows one by one within the context.

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
    _: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    *,
    cu_seq_lens_q: "torch.Tensor",
    dropout: float = 0.0,
    scaling: float | None = None,
    **_others: Any,
) -> "tuple[torch.Tensor, None]":
    """Returns the attention's output, of shape (1, length, heads, width); `query` is (1, heads, length, width)."""
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
