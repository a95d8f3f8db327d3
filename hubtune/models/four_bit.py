"""Loads a base model in 4 bits, as QLoRA does (Dettmers et al., 2023): NF4 with double quantization.

What is not quantized has the precision of QLoRA's own training program: norms in fp32, embeddings and head in the
compute precision. peft's `prepare_model_for_kbit_training` would convert embeddings and head to fp32, which needs
another 2 GB with 128,000 tokens and a width of 4,096.
"""

import importlib
import math
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hubtune.models.base_facts import require_4bit
from hubtune.models.classifier import HEADS, Classes, load_classifier
from hubtune.models.precision import dtype_of, hold_in_fp32
from hubtune.models.pretrained import load_causal

if TYPE_CHECKING:
    from torch.library import Library
    from transformers import PreTrainedModel


def load_base_4bit(folder: Path, name: str, precision: str) -> "PreTrainedModel":
    """Loads a causal language model quantized to 4 bits.

    Args:
        folder: Its snapshot, in full precision.
        name: Its id, for messages.
        precision: What the matrices are computed in, one that `dtype_of` knows. The 4 bits are the same whatever it is;
            one that the machine does not compute in is an order of magnitude slower.

    Raises:
        ModelError: As `hubtune.models.pretrained.load_base`; or nothing that is installed computes with 4 bits.
    """
    return _settled(load_causal(folder, name, dtype_of(precision), **_in_4bit(precision)), precision)


def load_classifier_4bit(
    folder: Path, name: str, precision: str, classes: Classes
) -> "tuple[PreTrainedModel, list[str]]":
    """Loads a classifier whose base model is quantized to 4 bits; its head is not quantized.

    Args:
        folder: Its snapshot, in full precision.
        name: Its id, for messages.
        precision: As for `load_base_4bit`.
        classes: What it has to tell apart.

    Returns:
        The model, and the names of the modules that the checkpoint lacks.

    Raises:
        ModelError: As `load_classifier`; or nothing that is installed computes with 4 bits.
    """
    model, fresh = load_classifier(folder, name, precision, classes, **_in_4bit(precision, *HEADS))
    return _settled(model, precision), fresh


def _settled(model: "PreTrainedModel", precision: str) -> "PreTrainedModel":
    """Returns the model with its norms in fp32, and with the same 4 bits on every machine."""
    for module in model.modules():
        # On a CPU with AVX512-BF16, bitsandbytes packs a layer again when it is first used without gradients. That
        # rounds its scales to bf16, so what is measured is not what was trained, and it fails on a width that is not a
        # multiple of 64.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
        # A norm, by whatever name an architecture has for it, is a layer of vectors alone.
        weights = list(module.parameters(recurse=False))
        if weights and not any(module.children()) and all(weight.dim() == 1 for weight in weights):
            hold_in_fp32(module, weights, dtype_of(precision))
    return model


@cache
def _read_by_blocks() -> "Library | None":
    """Has bitsandbytes read 4 bits on a CPU as it writes them: by blocks that continue from one row to the next.

    Its AVX512 code begins a block with each row. In a matrix whose width is not a multiple of 64 most numbers get the
    scale of another block then: a third of the weight is error, without a word. Read as one long row it is right.
    """
    # Importing it registers the operator.
    importlib.import_module("bitsandbytes")

    if not hasattr(torch.library, "get_kernel"):
        return None
    kernel = torch.library.get_kernel("bitsandbytes::dequantize_4bit", "CPU")

    def read(keys: object, packed: object, scales: object, *layout: Any) -> object:
        block, kind, shape, to = layout
        if shape[-1] % block == 0:
            return kernel.call_boxed(keys, packed, scales, block, kind, shape, to)
        return kernel.call_boxed(keys, packed, scales, block, kind, [math.prod(shape)], to).reshape(shape)

    library = torch.library.Library("bitsandbytes", "IMPL")
    with warnings.catch_warnings():
        # That an operator is replaced is the purpose.
        warnings.simplefilter("ignore")
        library.impl("dequantize_4bit", read, "CPU", with_keyset=True, allow_override=True)
    return library


def _in_4bit(precision: str, *kept: str) -> dict[str, object]:
    """Returns the options that have transformers quantize a base, except the modules of the names `kept`."""
    require_4bit()
    _read_by_blocks()
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype_of(precision),
        # Patterns for the start of a layer's name; a bare name would miss the layers within a pooler.
        llm_int8_skip_modules=[rf"(.*\.)?{name}" for name in kept] or None,
    )
    return {
        "quantization_config": settings,
        "device_map": {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"},
    }
