"""A faster forward and backward pass for adapted linear layers during training, with the same numbers as peft.

peft casts the input to fp32 for the adapter, adds the adapter's output in a separate step, and leaves a chain of small
operations to autograd. Here base and adapter write into one output, the adapter computes in the input's format with its
weights and gradients in fp32, as automatic mixed precision does, and the input is stored once.
"""

import contextlib
import math
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

    Layers of other kinds (quantized bases, DoRA, embeddings) keep peft's.

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
    dropped = draw_dropped(x, drop) if drop > 0 else None
    # Conv1D stores its weight as (in, out).
    weight = base.weight.t() if type(base) is torch.nn.Linear else base.weight
    result: torch.Tensor = _LoraLinear.apply(
        x,
        dropped,
        weight,
        base.bias,
        layer.lora_A[_ADAPTER].weight,
        layer.lora_B[_ADAPTER].weight,
        scale / (1 - drop),
    )
    return result


def draw_dropped(x: torch.Tensor, drop: float) -> torch.Tensor:
    """Draws which elements of `x` a dropout drops, each by the same chance, from torch's generator.

    torch's own dropout on the CPU draws a number for each element, which took a fifth of the training time. Here the
    distances from one dropped element to the next are drawn, which follow the geometric distribution.

    Args:
        x: Of any shape.
        drop: The chance of an element to be dropped, between 0 and 1.

    Returns:
        On the CPU the places of the dropped elements in the flattened `x`, rising; elsewhere, where a number that
        hangs on chance would have to be waited for, booleans of the shape of `x`.
    """
    if x.device.type != "cpu":
        return torch.empty(x.shape, dtype=torch.bool, device=x.device).bernoulli_(drop)
    number = x.numel()
    # Enough to be past the end, except once in a thousand million times.
    drawn = int(number * drop + 6 * math.sqrt(number * drop)) + 16
    found: list[torch.Tensor] = []
    last = -1
    while last < number:
        # 1 - u is never 0.
        gaps = torch.rand(drawn, dtype=torch.float64).neg_().log1p_().div_(math.log1p(-drop)).long().add_(1)
        found.append(gaps.cumsum(0).add_(last))
        last = int(found[-1][-1])
    places = torch.cat(found)
    return places[: int(torch.searchsorted(places, number))]


def zero_dropped(values: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    """Sets the dropped elements to 0, in place.

    Args:
        values: Contiguous.
        dropped: As `draw_dropped` gives them for a tensor of this shape.
    """
    if dropped.dtype == torch.bool:
        return values.masked_fill_(dropped.view(values.shape), 0)
    values.view(-1).index_fill_(0, dropped, 0)
    return values


class _LoraLinear(torch.autograd.Function):
    """`x @ weight + bias + scale * drop(x) @ a.T @ b.T`, with gradients for x, a and b.

    A product with one of the narrow matrices is made so that the rows of the result are its few columns: the other way
    round it was seen to take up to four times as long on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        dropped: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low_rows = rows if dropped is None else zero_dropped(rows.clone(memory_format=torch.contiguous_format), dropped)
        low_a, low_b = a.to(x.dtype), (b * scale).to(x.dtype)
        output = rows @ weight if bias is None else torch.addmm(bias, rows, weight)
        inner = (low_a @ low_rows.t()).t()
        output.addmm_(inner, low_b.t())
        ctx.save_for_backward(low_rows, dropped, inner, weight, low_a, low_b)
        ctx.scale, ctx.shape = scale, x.shape
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        low_rows, dropped, inner, weight, low_a, low_b = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_inner = (low_b.t() @ grad.t()).t()
        grad_a = (grad_inner.t() @ low_rows).float()
        grad_b = (inner.t() @ grad).t().float().mul(ctx.scale)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, grad_a, grad_b, None
        grad_x = grad @ weight.t()
        if dropped is None:
            grad_x.addmm_(grad_inner, low_a)
        else:
            grad_x += zero_dropped(grad_inner @ low_a, dropped)
        return grad_x.view(ctx.shape), None, None, None, grad_a, grad_b, None
