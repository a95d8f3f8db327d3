"""Finds out whether a model keeps packed rows apart, by asking it: not every architecture heeds positions."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    import torch

    vocabulary = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(vocabulary, (1, length), generator=generator).to(model.device) for length in _LENGTHS]
    positions = [torch.arange(length, device=model.device)[None] for length in _LENGTHS]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = [model(input_ids=row, use_cache=False).logits[0].float() for row in rows]
            together = model(
                input_ids=torch.cat(rows, dim=1), position_ids=torch.cat(positions, dim=1), use_cache=False
            )
    except TypeError:
        # The architecture takes no position_ids.
        return False
    finally:
        model.train(was_training)
    apart = (torch.cat(alone) - together.logits[0].float()).abs().max()
    scale = max(float(logits.abs().max()) for logits in alone)
    return bool(apart <= _NOISE.get(str(model.dtype), 1e-4) * max(scale, 1e-6))
