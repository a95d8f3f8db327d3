"""The number formats of a training: the format of weights, and the parts that always compute in fp32."""

from typing import TYPE_CHECKING, Literal

from hubtune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

Precision = Literal["bf16", "fp16", "fp32"]


def choose_precision(asked: Literal["auto", "bf16", "fp16", "fp32"]) -> Precision:
    """Returns the precision to use on this machine; `auto` is bf16 if the hardware supports it, else fp32.

    fp16 is never chosen by itself: its numbers end at 65,504, so that some models overflow in it.

    Raises:
        ModelError: bf16 was asked for and this machine lacks it.
    """
    if asked in ("fp16", "fp32"):
        return asked
    if _has_bf16():
        return "bf16"
    if asked == "bf16":
        raise ModelError("This machine does not compute in bf16.", hint="Set `train.precision` to auto or fp32.")
    return "fp32"


def dtype_of(precision: str) -> "torch.dtype":
    """Returns torch's type for a precision: `fp64`, `fp32`, `fp16` or `bf16`."""
    import torch

    return {"fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def hold_in_fp32(module: "torch.nn.Module", weights: "Iterable[torch.nn.Parameter]", precision: "torch.dtype") -> None:
    """Makes a module compute in fp32, between layers that compute in `precision`.

    Args:
        module: The module.
        weights: Those of its weights that are put into fp32.
        precision: What its input comes in and its output has to have.
    """
    import torch

    for weight in weights:
        weight.data = weight.data.float()
    if precision == torch.float32:
        return
    module.register_forward_pre_hook(lambda _, inputs: tuple(_cast(value, torch.float32) for value in inputs))
    module.register_forward_hook(lambda _, __, output: _cast(output, precision))


def _cast(value: object, precision: "torch.dtype") -> object:
    import torch

    return value.to(precision) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _has_bf16() -> bool:
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.mps.is_available():
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
