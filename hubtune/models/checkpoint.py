"""A model's weights on disk: one safetensors file, or several with an index."""

from dataclasses import dataclass
from pathlib import Path

from hubtune.documents import BOUNDS, parse_json_object
from hubtune.errors import MergeError, ModelError, NoSafetensorsError
from hubtune.files import read_bytes
from hubtune.models.shards import Entry, Header, read_header
from hubtune.records.model_files import CONFIG, WEIGHTS, WEIGHTS_INDEX


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
        """Returns the shard that a tensor lies in and its place there; None where there is no such tensor."""
        for shard, header in self.shards.items():
            if tensor in header.tensors:
                return shard, header.tensors[tensor]
        return None

    @property
    def dtype(self) -> str:
        """The dtype, in safetensors' words, that most of the numbers have."""
        bytes_of: dict[str, int] = {}
        for header in self.shards.values():
            for entry in header.tensors.values():
                bytes_of[entry.dtype] = bytes_of.get(entry.dtype, 0) + entry.end - entry.begin
        return max(bytes_of, key=lambda dtype: bytes_of[dtype])


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads the config, the index and the header of each shard.

    Raises:
        MergeError: The weights are quantised.
        NoSafetensorsError: There are no safetensors.
        ModelError: A file is missing or damaged.
    """
    config = _read(folder / CONFIG)
    if config.get("quantization_config"):
        raise MergeError(
            "The base model is quantised; merging into quantised weights would make it worse.",
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
