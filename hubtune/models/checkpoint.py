"""A checkpoint on disk: one safetensors file, or several with an index; read and written one tensor at a time.

safetensors checks a file's header and length. This module adds two things: the raw bytes of the header, so that a file
whose tensors keep their names and shapes keeps its header byte for byte; and reads that copy a tensor instead of
mapping the file, so that memory holds one tensor, not the pages of a whole shard.
"""

import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.documents import BOUNDS, parse_json_object
from hubtune.errors import MergeError, ModelError, NoSafetensorsError
from hubtune.files import loading, read_bytes
from hubtune.records.release import MODEL_CONFIG, WEIGHTS, WEIGHTS_INDEX

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
        metadata: The file's free text, such as `format`; None if it has none.
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

    def __init__(self, file: BufferedReader, header: Header) -> None:
        self.header = header
        self._file = file

    def tensor(self, name: str) -> "torch.Tensor":
        """Returns a copy of one tensor of a dtype in `FLOATS`."""
        import torch

        entry = self.header.tensors[name]
        self._seek(entry)
        data = bytearray(entry.end - entry.begin)
        self._file.readinto(data)
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
    """Writes a shard, one tensor at a time; with the same names, dtypes and shapes, the header is kept byte for byte.

    Args:
        source: Where copied tensors come from.
        target: The file to write.
        tensors: The tensors, in the order of the file.
        on_bytes: Reports every piece that was written.

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


def _made(name: str, planned: Planned, source: ShardReader) -> Iterator[bytes | memoryview]:
    import torch

    assert planned.make is not None
    tensor = planned.make(source).contiguous()
    if tuple(tensor.shape) != planned.shape or tensor.dtype != getattr(torch, FLOATS[planned.dtype]):
        raise MergeError(f"{name} came out as {tensor.dtype} of shape {tuple(tensor.shape)}, not {planned}.")
    data = tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b""
    for start in range(0, len(data), _PIECE):
        yield memoryview(data[start : start + _PIECE])


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


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose headers were read.

    Attributes:
        config: The content of config.json.
        shards: File name to header, in the order of the names.
        index: The content of the index; None for a single file.
    """

    folder: Path
    config: dict[str, object]
    shards: dict[str, Header]
    index: dict[str, object] | None

    @property
    def size(self) -> int:
        """How many bytes the shards take."""
        return sum((self.folder / name).stat().st_size for name in self.shards)

    def find(self, tensor: str) -> tuple[str, Entry] | None:
        """Returns the shard of a tensor and its place there; None if there is no such tensor."""
        for shard, header in self.shards.items():
            if tensor in header.tensors:
                return shard, header.tensors[tensor]
        return None

    @property
    def dtype(self) -> str:
        """The dtype of most of the numbers, as safetensors names it."""
        bytes_of: dict[str, int] = {}
        for header in self.shards.values():
            for entry in header.tensors.values():
                bytes_of[entry.dtype] = bytes_of.get(entry.dtype, 0) + entry.end - entry.begin
        return max(bytes_of, key=lambda dtype: bytes_of[dtype])


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads the config, the index and the header of each shard.

    Raises:
        MergeError: The weights are quantized.
        NoSafetensorsError: There are no safetensors.
        ModelError: A file is missing or damaged.
    """
    config = _read(folder / MODEL_CONFIG)
    if config.get("quantization_config"):
        raise MergeError(
            "The base model is quantized; merging into quantized weights would make it worse.",
            hint="Merge into the full-precision base model that this one was made from.",
        )
    index = _read(folder / WEIGHTS_INDEX) if (folder / WEIGHTS_INDEX).is_file() else None
    names = [WEIGHTS] if index is None else _shards_of(index)
    if index is None and not (folder / WEIGHTS).is_file():
        raise NoSafetensorsError(
            f"The base model has neither {WEIGHTS} nor {WEIGHTS_INDEX}; other formats are not read, since that can "
            "run code.",
            hint="Choose a base model with safetensors.",
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"The base model lacks its shard {missing[0]}.",
            hint="Download the base model again, or choose another revision.",
        )
    return Checkpoint(folder, config, {name: read_header(folder / name) for name in names}, index)


def _shards_of(index: dict[str, object]) -> list[str]:
    places = index.get("weight_map")
    names = sorted(set(places.values())) if isinstance(places, dict) else []
    # An index is a stranger's text: its file names may not lead out of the folder.
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise ModelError(
            f"{WEIGHTS_INDEX} of the base model does not name its shards.",
            hint="Choose another revision or base model.",
        )
    return names


def _read(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise ModelError(f"The base model has no {path.name}.", hint="Choose another revision or base model.")
    content = read_bytes(path, most=BOUNDS.size)
    return dict(parse_json_object(content, f"{path.name} of the base model", error=ModelError))
