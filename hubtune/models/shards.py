"""Reads a safetensors file tensor by tensor and writes it anew likewise: memory holds one tensor, not a file.

The safetensors library maps a whole file into memory to read it, and needs every tensor at once to write one. The
format (https://huggingface.co/docs/safetensors: the header's length in 8 bytes, a JSON header, the tensors without
gaps) is simple enough to be read and written directly.
"""

import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hubtune.errors import MergeError, ModelError
from hubtune.loading import loading

if TYPE_CHECKING:
    import torch

# The dtypes that a merge computes with; tensors of all others are copied as bytes.
FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_PIECE = 1 << 24
_ALIGNMENT = 8
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Entry:
    """One tensor of a shard; `begin` and `end` count bytes from where the header ends."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A shard's header.

    Attributes:
        raw: The header's own bytes, with its length before it.
        metadata: The file's free text, such as `format`; None where it has none.
        tensors: Name to place, in the order of the file.
    """

    raw: bytes
    metadata: dict[str, str] | None
    tensors: dict[str, Entry]


@dataclass(frozen=True)
class Planned:
    """A tensor to be written: its dtype and shape, and how to make it; `make` is None for a copy of the source's."""

    dtype: str
    shape: tuple[int, ...]
    make: "Callable[[ShardReader], torch.Tensor] | None" = None


class ShardReader:
    """An open shard."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.header = header
        self._file = file

    def tensor(self, name: str) -> "torch.Tensor":
        """Returns a copy of one tensor of a dtype in `FLOATS`."""
        import torch

        entry = self.header.tensors[name]
        self._seek(entry)
        data = bytearray(entry.end - entry.begin)
        self._file.readinto(data)  # type: ignore[attr-defined]
        dtype = getattr(torch, FLOATS[entry.dtype])
        return (
            torch.frombuffer(data, dtype=dtype).reshape(entry.shape) if data else torch.empty(entry.shape, dtype=dtype)
        )

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yields the bytes of one tensor, piece by piece."""
        entry = self.header.tensors[name]
        self._seek(entry)
        left = entry.end - entry.begin
        while left:
            piece = self._file.read(min(left, _PIECE))
            left -= len(piece)
            yield piece

    def _seek(self, entry: Entry) -> None:
        self._file.seek(len(self.header.raw) + entry.begin)


@contextmanager
def open_shard(path: Path) -> Iterator[ShardReader]:
    """Opens a shard for reading.

    Raises:
        ModelError: It is not a whole safetensors file.
    """
    header = read_header(path)
    with path.open("rb") as file:
        yield ShardReader(file, header)


def read_header(path: Path) -> Header:
    """Reads the header of a shard.

    Raises:
        ModelError: It is not a whole safetensors file.
    """
    from safetensors import safe_open

    with (
        loading(
            f"{path.name} is not a whole safetensors file",
            ModelError,
            hint="It was cut short or damaged: download it again.",
        ),
        # The library checks names, dtypes, shapes, gaps and the file's length.
        safe_open(path, framework="numpy"),
    ):
        pass
    with path.open("rb") as file:
        length = file.read(8)
        text = file.read(struct.unpack("<Q", length)[0])
    content = json.loads(text)
    metadata = content.pop(_METADATA, None)
    entries = {
        name: Entry(entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"]) for name, entry in content.items()
    }
    ordered = dict(sorted(entries.items(), key=lambda item: item[1].begin))
    return Header(raw=length + text, metadata=metadata, tensors=ordered)


def write_shard(
    source: ShardReader, target: Path, tensors: Mapping[str, Planned], on_bytes: Callable[[int], None]
) -> int:
    """Writes a shard, one tensor at a time; a shard of the same names, dtypes and shapes keeps its header to the byte.

    Args:
        source: Where copied tensors come from.
        target: The file to write.
        tensors: The tensors, in the order of the file.
        on_bytes: Told of every piece that was written.

    Returns:
        How many bytes the tensors take.

    Raises:
        MergeError: A tensor came out in another dtype or shape than was planned.
    """
    header, size = _header(source.header, tensors)
    with target.open("wb") as file:
        file.write(header)
        for name, planned in tensors.items():
            for piece in source.pieces(name) if planned.make is None else _made(name, planned, source):
                file.write(piece)
                on_bytes(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return size


def _made(name: str, planned: Planned, source: ShardReader) -> Iterator[bytes]:
    import torch

    assert planned.make is not None
    tensor = planned.make(source).contiguous()
    if tuple(tensor.shape) != planned.shape or tensor.dtype != getattr(torch, FLOATS[planned.dtype]):
        raise MergeError(f"{name} came out as {tensor.dtype} of shape {tuple(tensor.shape)}, not {planned}.")
    data = tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b""
    for start in range(0, len(data), _PIECE):
        yield memoryview(data[start : start + _PIECE])  # type: ignore[misc]


def _header(before: Header, tensors: Mapping[str, Planned]) -> tuple[bytes, int]:
    kept = {name: (entry.dtype, entry.shape) for name, entry in before.tensors.items()}
    if kept == {name: (planned.dtype, planned.shape) for name, planned in tensors.items()}:
        return before.raw, sum(entry.end - entry.begin for entry in before.tensors.values())
    content: dict[str, object] = {} if before.metadata is None else {_METADATA: before.metadata}
    begin = 0
    for name, planned in tensors.items():
        end = begin + _size(before, name, planned)
        content[name] = {"dtype": planned.dtype, "shape": planned.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text, begin


def _size(before: Header, name: str, planned: Planned) -> int:
    import torch

    if planned.make is None:
        return before.tensors[name].end - before.tensors[name].begin
    return math.prod(planned.shape) * int(torch.finfo(getattr(torch, FLOATS[planned.dtype])).bits) // 8
