"""The names that readers know, for the short ones that config and records use."""

_METHODS = {"lora": "LoRA", "qlora": "QLoRA"}
_PRECISIONS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def method_name(method: str) -> str:
    """Returns a training method as papers write it."""
    return _METHODS.get(method, method)


def precision_name(precision: str) -> str:
    """Returns a number format as PyTorch writes it."""
    return _PRECISIONS.get(precision, precision)
