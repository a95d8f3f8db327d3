"""A faster forward and backward for adapted linear layers while they are trained; the numbers are peft's.

peft's forward casts its input to the adapter's fp32, adds the adapter's output in a step of its own, and leaves a chain
of small operations to autograd. Here base and adapter write into one output, the adapter computes in the input's
format with its weights and gradients kept in fp32, as automatic mixed precision does, and the input is stored once.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from peft.tuners.lora import Linear as LoraLinear

_ADAPTER = "default"


@contextlib.contextmanager
def fast_adapters(model: torch.nn.Module) -> Iterator[int]:
    """Lets every plain LoRA layer of `model` compute in the faster way while the context lasts.

    Layers of other kinds (quantised bases, DoRA, embeddings) keep peft's.

    Yields:
        How many layers compute in the faster way.
    """
    chosen = [module for module in model.modules() if _is_plain(module)]
    for layer in chosen:
        layer.forward = partial(_forward, layer)
    try:
        yield len(chosen)
    finally:
        for layer in chosen:
            del layer.forward


def _is_plain(module: torch.nn.Module) -> bool:
    from peft.tuners.lora import Linear as LoraLinear
    from transformers.pytorch_utils import Conv1D

    if type(module) is not LoraLinear:
        return False
    base = module.base_layer
    return (
        type(base) in (torch.nn.Linear, Conv1D)
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
        and list(module.active_adapters) == [_ADAPTER]
        and not module.lora_variant
        and module.lora_B[_ADAPTER].bias is None
    )


def _forward(layer: "LoraLinear", x: torch.Tensor) -> torch.Tensor:
    if layer.disable_adapters or layer.merged:
        output: torch.Tensor = layer.base_layer(x)
        return output
    base, scale = layer.base_layer, layer.scaling[_ADAPTER]
    drop = getattr(layer.lora_dropout[_ADAPTER], "p", 0.0) if layer.training else 0.0
    kept, share = draw_kept(x, drop) if drop > 0 else (None, 1.0)
    # Conv1D stores its weight as (in, out).
    weight = base.weight.t() if type(base) is torch.nn.Linear else base.weight
    result: torch.Tensor = _LoraLinear.apply(
        x,
        kept,
        weight,
        base.bias,
        layer.lora_A[_ADAPTER].weight,
        layer.lora_B[_ADAPTER].weight,
        scale / share,
    )
    return result


def draw_kept(x: torch.Tensor, drop: float) -> tuple[torch.Tensor, float]:
    """Draws which elements of `x` a dropout keeps, from torch's generator.

    torch's own dropout on the CPU draws a number for each element, which took a fifth of the training time. Here one
    draw of 64 bits serves four elements.

    Args:
        x: Of any shape.
        drop: The chance of an element to be dropped, below 1; on the CPU it is rounded to a multiple of 2^-16.

    Returns:
        Ones and zeros of the shape and format of `x`, and the chance that an element is kept.
    """
    if x.device.type != "cpu":
        return torch.empty_like(x).bernoulli_(1 - drop), 1 - drop
    drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    dropped = min(round(drop * 2**16), 2**16 - 1)
    kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 2**15
    return kept.to(x.dtype), 1 - dropped / 2**16


class _LoraLinear(torch.autograd.Function):  # type: ignore[misc]
    """`x @ weight + bias + scale * (x * kept) @ a.T @ b.T`, with gradients for x, a and b."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        kept: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        kept = None if kept is None else kept.view(rows.shape)
        low_rows = rows if kept is None else rows * kept
        low_a, low_b = a.to(x.dtype), (b * scale).to(x.dtype)
        output = rows @ weight if bias is None else torch.addmm(bias, rows, weight)
        inner = low_rows @ low_a.t()
        output.addmm_(inner, low_b.t())
        ctx.save_for_backward(low_rows, kept, inner, weight, low_a, low_b)
        ctx.scale, ctx.shape = scale, x.shape
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        low_rows, kept, inner, weight, low_a, low_b = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_inner = grad @ low_b
        grad_a = (grad_inner.t() @ low_rows).float()
        grad_b = (grad.t() @ inner).float().mul_(ctx.scale)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, grad_a, grad_b, None
        grad_x = grad @ weight.t()
        if kept is None:
            grad_x.addmm_(grad_inner, low_a)
        else:
            grad_x += (grad_inner @ low_a) * kept
        return grad_x.view(ctx.shape), None, None, None, grad_a, grad_b, None
