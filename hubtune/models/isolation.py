"""Finds out whether a model keeps packed rows apart, by asking it: not every architecture heeds positions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# In fp32 two batch shapes were seen to differ by about 1e-6 of the largest logit, in bf16 by about 1e-2; rows that see
# each other differ by a tenth of it and more.
_NOISE = {"torch.float32": 1e-4, "torch.bfloat16": 5e-2, "torch.float16": 5e-3}
_LENGTHS = (5, 3, 7)


def rows_are_isolated(model: "PreTrainedModel") -> bool:
    """Whether each row of a packed sequence gets the logits that it gets alone.

    Three short rows of seeded tokens are put through the model packed and one by one. An architecture that knows no
    positions, or draws attention from elsewhere (ALiBi, state spaces), answers no.
    """
    return keeps_apart(model, logits_alone(model))


def logits_alone(model: "PreTrainedModel") -> "torch.Tensor":
    """Returns the logits of the rows that are asked with, each put through the model alone; (tokens, vocabulary)."""
    import torch

    with _asking(model):
        return torch.cat([model(input_ids=row, use_cache=False).logits[0].float() for row in _rows(model)])


def keeps_apart(model: "PreTrainedModel", alone: "torch.Tensor", *, told_lengths: bool = False) -> bool:
    """Whether the same rows, packed, get these logits.

    Args:
        model: A causal model.
        alone: What `logits_alone` gave.
        told_lengths: Whether to hand the rows' cumulative lengths to the model's attention.
    """
    import torch

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
    import torch

    vocabulary = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (1, length), generator=generator).to(model.device) for length in _LENGTHS]


@contextmanager
def _asking(model: "PreTrainedModel") -> Iterator[None]:
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
