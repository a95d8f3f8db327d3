"""Converts a GGUF file to an ordinary model folder (safetensors and a tokenizer) by dequantizing it."""

import struct
import tempfile
from pathlib import Path
from typing import BinaryIO

from hubtune.errors import ModelError
from hubtune.files import file_errors, loading
from hubtune.models.pretrained import refuse_missing, save_tokenizer

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# Arrays in arrays, and the dimensions of a tensor; GGML has four.
_MOST_DEPTH, _MOST_DIMENSIONS = 4, 8
# The library takes 15 µs and a kilobyte for each value of an array; a vocabulary of 262,144 with merges has 1,300,000.
_MOST_VALUES, _MOST_TENSORS = 2_500_000, 100_000
_MOST_KEYS, _MOST_LAYERS, _MOST_SIZE = 100_000, 2_000, 1 << 31


def check_gguf_header(source: Path) -> None:
    """Refuses a file whose header does not match its size, or has impossible sizes.

    Raises:
        ModelError: It is not a GGUF file, was cut short, or is damaged; the message names the file and the place.
        FileError: It cannot be read.
    """
    with file_errors(source, "read"), source.open("rb") as file:
        _Walk(source, file).walk()


class _Walk:
    def __init__(self, source: Path, file: BinaryIO) -> None:
        self._source = source
        self._file = file
        self._size = source.stat().st_size
        self._order = "<"
        self._values = 0

    def walk(self) -> None:
        if self._take(4) != _MAGIC:
            raise self._fault("it does not begin with GGUF, as such files do")
        version = self._number("I")
        if version & 0xFFFF == 0:
            self._order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in _VERSIONS:
            raise self._fault(f"its version is {version}, and versions 2 and 3 are read")
        tensors, keys = self._number("Q"), self._number("Q")
        if keys > _MOST_KEYS:
            raise self._fault(f"it states {keys:,} keys")
        if tensors > _MOST_TENSORS:
            raise self._fault(f"it states {tensors:,} tensors")
        for _ in range(keys):
            key = self._text()
            self._check_size(key, self._value(self._number("I"), 0))
        self._require(tensors * 24)
        for _ in range(tensors):
            name, dimensions = self._text(), self._number("I")
            if dimensions > _MOST_DIMENSIONS:
                raise self._fault(f"the tensor {name[:80]} has {dimensions:,} dimensions")
            self._take(8 * dimensions + 12)

    def _value(self, kind: int, depth: int) -> object:
        if kind in _SCALARS:
            return struct.unpack(self._order + _SCALARS[kind], self._take(struct.calcsize("=" + _SCALARS[kind])))[0]
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY or depth > _MOST_DEPTH:
            raise self._fault(f"it holds a value of the unknown kind {kind}")
        inner, count = self._number("I"), self._number("Q")
        if inner in _SCALARS:
            self._require(count * struct.calcsize("=" + _SCALARS[inner]))
        else:
            self._require(count * 8)
        self._values += count
        if self._values > _MOST_VALUES:
            raise self._fault(f"its keys hold more than {_MOST_VALUES:,} values, beyond what any model has")
        if inner in _SCALARS:
            self._skip(count * struct.calcsize("=" + _SCALARS[inner]))
            return None
        for _ in range(count):
            self._value(inner, depth + 1)
        return None

    def _check_size(self, key: str, value: object) -> None:
        most = _MOST_LAYERS if key.endswith(".block_count") else _MOST_SIZE
        sized = key.endswith((".block_count", "_length", "_count", ".vocab_size"))
        if sized and isinstance(value, int) and not 0 <= value <= most:
            raise self._fault(f"`{key[:80]}` is {value:,}, beyond what any model has")

    def _number(self, form: str) -> int:
        return int(struct.unpack(self._order + form, self._take(struct.calcsize("=" + form)))[0])

    def _text(self) -> str:
        return self._take(self._number("Q")).decode("utf-8", "replace")

    def _take(self, count: int) -> bytes:
        self._require(count)
        return self._file.read(count)

    def _skip(self, count: int) -> None:
        self._require(count)
        self._file.seek(count, 1)

    def _require(self, count: int) -> None:
        if count > self._size - self._file.tell():
            raise self._fault("it ends before its header does")

    def _fault(self, why: str) -> ModelError:
        return ModelError(
            f"{self._source} is not a whole GGUF file: {why} (byte {self._file.tell():,}).",
            hint="It was cut short or damaged on its way; download it again.",
        )


def convert_gguf(source: Path, target: Path) -> str:
    """Writes the weights of `source`, dequantized to bf16, and its tokenizer into the folder `target`.

    Returns:
        The name of the file's main quantization, such as Q4_1.

    Raises:
        ModelError: The file is not a GGUF file of an architecture that transformers can convert.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    quantisation = main_quantisation(source)
    name = source.name
    # Alone: transformers goes by what lies next to it too, such as an adapter or a tokenizer_config.json.
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
    """Returns the quantization that most tensors of a GGUF file have.

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
