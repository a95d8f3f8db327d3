"""The arithmetic of a merge: one tensor of the base model with what an adapter does to it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hubtune.errors import MergeError
from hubtune.models.merge_plan import Edit

if TYPE_CHECKING:
    from torch import Tensor

AdapterTensors = Callable[[str], "Tensor"]


def apply_change(weight: "Tensor", edit: Edit, adapter: AdapterTensors) -> "Tensor":
    """Returns the merged tensor: computed in fp32 (fp64 where the base is), and rounded once to the base's dtype.

    In fp32 this is peft's `get_delta_weight` and sum, operation by operation, so the result is the same to the bit.
    With a base in bf16 or fp16, `merge_and_unload` may round the product before it adds it, depending on the adapter's
    dtype, so its result can differ from this one by a rounding.

    Args:
        weight: The base's tensor.
        edit: Its edit.
        adapter: Gives each of the adapter's tensors by its name.

    Raises:
        MergeError: The result holds a number that is not finite.
    """
    import torch

    change, merged = edit.change, weight
    if change is None:
        return merged
    wide = torch.promote_types(weight.dtype, torch.float32)
    if change.replacement is not None:
        merged = adapter(change.replacement).to(weight.dtype)
    if change.rows is not None:
        rows = adapter(change.rows).to(weight.dtype)
        if edit.shape[0] > len(merged):
            merged = torch.cat([merged, merged.new_zeros(edit.shape[0] - len(merged), *edit.shape[1:])])
        merged = merged.index_copy(0, torch.tensor(change.indices), rows)
    if change.low_rank is not None:
        a, b = (adapter(name).float() for name in (change.low_rank.a, change.low_rank.b))
        product = b @ a
        delta = (product if edit.kind == "linear" else product.T).mul_(change.low_rank.scaling)
        # In place, since these are the largest tensors of a merge.
        merged = delta.to(wide).add_(merged).to(weight.dtype)
    if change.bias is not None:
        name, scaling = change.bias
        merged = (merged.to(wide) + adapter(name).float() * scaling).to(weight.dtype)
    if merged.numel() and not torch.stack(merged.aminmax()).isfinite().all():
        raise MergeError(
            f"Merged, {edit.source} holds numbers that are not finite in {weight.dtype}.",
            hint="The adapter is broken, or too large for the base model's number format; publish the adapter instead.",
        )
    return merged
