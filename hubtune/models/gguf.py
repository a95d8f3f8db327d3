"""Makes an ordinary model folder (safetensors and a tokenizer) of a GGUF file, by dequantising it."""

import tempfile
from pathlib import Path

from hubtune.errors import ModelError
from hubtune.files import file_errors
from hubtune.loading import loading
from hubtune.models.gguf_header import check_gguf_header
from hubtune.models.load import refuse_missing, save_tokenizer


def convert_gguf(source: Path, target: Path) -> str:
    """Writes the weights of `source`, dequantised to bf16, and its tokenizer into the folder `target`.

    Returns:
        The name of the file's main quantisation, such as Q4_1.

    Raises:
        ModelError: The file is not a GGUF file of an architecture that transformers can convert.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    quantisation = main_quantisation(source)
    name = source.name
    # Alone: transformers goes by what lies beside it too, such as an adapter or a tokenizer_config.json.
    with tempfile.TemporaryDirectory(prefix="hubtune-") as folder, loading(f"{source} cannot be converted", ModelError):
        Path(folder, name).symlink_to(source.absolute())
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            quantization_config=GgufConfig(gguf_file=name, dequantize=True),
            dtype=torch.bfloat16,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, gguf_file=name, local_files_only=True, trust_remote_code=False
        )
    refuse_missing(sorted(report["missing_keys"]), str(source), "model")
    # The name inside the file is its maker's own, and would be taken for where the model came from.
    model.config.name_or_path = ""
    with file_errors(target):
        model.save_pretrained(target)
        save_tokenizer(tokenizer, target)
    return quantisation


def main_quantisation(source: Path) -> str:
    """Returns the quantisation that most tensors of a GGUF file have.

    Raises:
        ModelError: It is not a GGUF file, or a damaged one.
        FileError: It cannot be read.
    """
    from collections import Counter

    from gguf import GGUFReader

    check_gguf_header(source)
    with loading(f"{source} is not a whole GGUF file", ModelError, hint="Download it again."):
        tensors = GGUFReader(source).tensors
        kinds = Counter(tensor.tensor_type.name for tensor in tensors if len(tensor.shape) > 1)
    return str(kinds.most_common(1)[0][0]) if kinds else "F32"
