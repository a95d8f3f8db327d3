"""What the Hub says of a repository by its files: how many parameters a model has, and the tags that its card gives.

Parameters are counted by the headers of safetensors files; the weights are not read.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from dulwich.objects import ObjectID
from dulwich.repo import Repo

from hubtune.documents import Bounds, UnreadableError, load_json
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.ids import RepoType
from hubtune.localhub.large_files import RepoLargeFiles
from hubtune.localhub.trees import PathFinder, read_blob
from hubtune.metadata.front_matter import texts

_WHOLE = ("model.safetensors", "adapter_model.safetensors")
_INDEX = "model.safetensors.index.json"
_MOST_SHARDS = 500
_HEADER = Bounds(size=25 << 20, depth=10)
_LARGEST = 2**63
_MOST_TYPES = 64
_PLAIN = ("library_name", "pipeline_tag")
_PREFIXED = {"license": "license", "datasets": "dataset"}
_DATASET_PREFIXED = {
    "license": "license",
    "language": "language",
    "task_categories": "task_categories",
    "size_categories": "size_categories",
}


def parameter_counts(git: Repo, commit: ObjectID, large_files: RepoLargeFiles) -> dict[str, object] | None:
    """Returns the parameters of a model by data type and in total, as the Hub tells of them.

    Args:
        git: The repository.
        commit: The commit.
        large_files: The large files of the repository.

    Returns:
        None for a model without safetensors files, or with one whose header cannot be read within bounds.
    """
    finder = PathFinder(git, commit)
    try:
        total: Counter[str] = Counter()
        for path in _files(git, finder):
            total.update(_counts(git, finder, path, large_files))
    except UnreadableError:
        return None
    return {"parameters": dict(total), "total": sum(total.values())} if total else None


def _files(git: Repo, finder: PathFinder) -> Iterator[str]:
    entry = finder.find(_INDEX)
    if entry is None or entry.is_folder:
        yield from [path for path in _WHOLE if finder.find(path)][:1]
        return
    index = load_json(read_blob(git, entry.oid), bounds=_HEADER)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    names = set(shards.values()) if isinstance(shards, dict) and all(_is_text(v) for v in shards.values()) else set()
    if not 0 < len(names) <= _MOST_SHARDS:
        raise UnreadableError("names no files of weights, or too many")
    yield from sorted(map(str, names))


def _counts(git: Repo, finder: PathFinder, path: str, large_files: RepoLargeFiles) -> Mapping[str, int]:
    entry = finder.find(path)
    if entry is None or entry.is_folder:
        raise UnreadableError("is not there")
    blob = read_blob(git, entry.oid)
    pointer = Pointer.decode(blob)
    if pointer is None:
        return _count(BytesIO(blob))
    if not large_files.holds(pointer):
        raise UnreadableError("is not there")
    return _stored_counts(large_files.path(pointer.sha256))


@lru_cache(maxsize=256)
def _stored_counts(path: Path) -> Mapping[str, int]:
    # The path is the content's digest: what was read of it once stays true.
    with path.open("rb") as file:
        return _count(file)


def _count(file: BinaryIO) -> Mapping[str, int]:
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _HEADER.size:
        raise UnreadableError("has no header of a length that occurs")
    header = load_json(file.read(length), bounds=_HEADER)
    if not isinstance(header, dict):
        raise UnreadableError("has a header that is not an object")
    found: Counter[str] = Counter()
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        dtype, shape = (tensor.get("dtype"), tensor.get("shape")) if isinstance(tensor, dict) else (None, None)
        if not isinstance(dtype, str) or not isinstance(shape, list):
            raise UnreadableError("has a tensor without type or shape")
        sizes = [size for size in shape if type(size) is int and 0 <= size < _LARGEST]
        if len(sizes) != len(shape):
            raise UnreadableError("has a tensor of a shape that cannot be")
        found[dtype] += min(math.prod(sizes), _LARGEST)
        if len(found) > _MOST_TYPES:
            raise UnreadableError("has more types than there are")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def card_tags(type_: RepoType, card: Mapping[str, object]) -> list[str]:
    """Returns the tags under which the Hub files a repository with this card."""
    prefixed = _DATASET_PREFIXED if type_ is RepoType.DATASET else _PREFIXED
    plain = ("tags",) if type_ is RepoType.DATASET else (*_PLAIN, "tags", "language")
    tags = [value for key in plain for value in texts(card, key)]
    tags += [f"{prefix}:{value}" for key, prefix in prefixed.items() for value in texts(card, key)]
    relation = card.get("base_model_relation")
    for base in texts(card, "base_model"):
        tags.append(f"base_model:{base}")
        if isinstance(relation, str):
            tags.append(f"base_model:{relation}:{base}")
    return list(dict.fromkeys(tags))
