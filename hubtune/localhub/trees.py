"""What a commit holds: files and folders, the sizes and digests that clients ask for, and when each last changed.

What the Hub says of a repository by its files is here too: the parameters of a model, counted by the headers of its
safetensors files, and the tags that its card gives.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from stat import S_IFDIR, S_ISDIR
from typing import BinaryIO

from dulwich.lru_cache import LRUCache
from dulwich.objects import S_ISGITLINK, Commit, ObjectID, Tree
from dulwich.repo import Repo

from hubtune.documents import Bounds, UnreadableError, load_json
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.ids import RepoType
from hubtune.localhub.large_files import RepoLargeFiles
from hubtune.metadata.front_matter import texts

_FOLDERS_KEPT = 200


@dataclass(frozen=True)
class TreeEntry:
    """A file or folder as git lists it.

    Attributes:
        path: Full path in the repository, without a leading slash.
        oid: Git's sha1 of the blob or tree, in hexadecimal.
        is_folder: Whether it is a folder.
        mode: Git's mode: an ordinary or an executable file, a symbolic link or a folder.
    """

    path: str
    oid: str
    is_folder: bool
    mode: int


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file's content.

    Attributes:
        size: Bytes that a download yields.
        pointer: The large file that the blob stands for, or None for an ordinary file.
    """

    size: int
    pointer: Pointer | None


def tree_of(git: Repo, commit: ObjectID) -> ObjectID:
    """Returns the root tree of a commit."""
    found = git[commit]
    if not isinstance(found, Commit):
        raise TypeError(f"{commit.decode()} is not a commit")
    tree: ObjectID = found.tree
    return tree


class PathFinder:
    """Finds files and folders of a commit; each folder is read once, however many paths lead through it.

    Args:
        git: The repository.
        commit: The commit.
    """

    def __init__(self, git: Repo, commit: ObjectID) -> None:
        self._git = git
        self._root = tree_of(git, commit)
        self._folders: dict[ObjectID, Tree | None] = {}

    def find(self, path: str) -> TreeEntry | None:
        """Returns the file or folder at a path, or None. The empty path is the root folder."""
        sha, mode = self._root, S_IFDIR
        for part in path.encode(errors="replace").split(b"/") if path else ():
            folder = self._folder(sha) if S_ISDIR(mode) else None
            if folder is None or part not in folder:
                return None
            mode, sha = folder[part]
        # A submodule's commit lies in another repository.
        return None if S_ISGITLINK(mode) else TreeEntry(path, sha.decode(), S_ISDIR(mode), mode)

    def _folder(self, sha: ObjectID) -> Tree | None:
        if sha not in self._folders:
            found = self._git[sha]
            self._folders[sha] = found if isinstance(found, Tree) else None
        return self._folders[sha]


def find_entry(git: Repo, commit: ObjectID, path: str) -> TreeEntry | None:
    """Returns the file or folder at a path, or None. The empty path is the root folder."""
    return PathFinder(git, commit).find(path)


def root_of(git: Repo, commit: ObjectID) -> TreeEntry:
    """Returns the root folder of a commit."""
    return TreeEntry("", tree_of(git, commit).decode(), is_folder=True, mode=S_IFDIR)


def list_entries(
    git: Repo, folder: TreeEntry, *, recursive: bool, skip: set[ObjectID] | None = None
) -> Iterator[TreeEntry]:
    """Yields what is in a folder, in git's order; a folder is before what is in it.

    Args:
        git: The repository.
        folder: Where to look.
        recursive: Whether to look into the folders in it too.
        skip: The sha1s of what to pass over; those that were met are added. None passes over nothing.
    """
    tree = git[ObjectID(folder.oid.encode())]
    if not isinstance(tree, Tree):
        return
    prefix = f"{folder.path}/" if folder.path else ""
    for name, mode, sha in tree.iteritems(name_order=True):
        if skip is not None:
            if sha in skip:
                continue
            skip.add(sha)
        # A submodule's commit lies in another repository.
        if S_ISGITLINK(mode):
            continue
        entry = TreeEntry(prefix + name.decode(errors="replace"), sha.decode(), S_ISDIR(mode), mode)
        yield entry
        if recursive and entry.is_folder:
            yield from list_entries(git, entry, recursive=True, skip=skip)


def list_files(git: Repo, commit: ObjectID) -> Iterator[TreeEntry]:
    """Yields every file of a commit."""
    return (entry for entry in list_entries(git, root_of(git, commit), recursive=True) if not entry.is_folder)


def read_blob(git: Repo, oid: str) -> bytes:
    """Returns a blob's content; for a large file that is its pointer."""
    return git.object_store.get_raw(ObjectID(oid.encode()))[1]


def read_file(git: Repo, commit: ObjectID, path: str) -> bytes | None:
    """Returns the content of a small file, or None if the commit has no such file."""
    entry = find_entry(git, commit, path)
    return None if entry is None or entry.is_folder else read_blob(git, entry.oid)


def file_facts(git: Repo, oid: str) -> FileFacts:
    """Returns the size of a file and, if it is large, what its pointer says."""
    content = read_blob(git, oid)
    pointer = Pointer.decode(content)
    return FileFacts(pointer.size if pointer else len(content), pointer)


def walk(git: Repo, head: ObjectID) -> Iterator[Commit]:
    """Yields a commit and its ancestors, the newest first."""
    for entry in git.get_walker(include=[head]):
        yield entry.commit


def commit_date(commit: Commit) -> str:
    """Returns when a commit was made, in the form that clients parse."""
    return format_date(datetime.fromtimestamp(commit.commit_time, UTC))


def format_date(when: datetime) -> str:
    """Returns a UTC time as the Hub writes it."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def title(commit: Commit) -> str:
    """Returns the first line of a commit's message."""
    return _message(commit).partition("\n")[0]


def description(commit: Commit) -> str:
    """Returns a commit's message without its first line."""
    return _message(commit).partition("\n")[2].strip()


def author_name(commit: Commit) -> str:
    """Returns the name of a commit's author."""
    author: bytes = commit.author
    return author.decode(errors="replace").partition(" <")[0]


def last_changes(git: Repo, head: ObjectID, paths: Iterable[str], most: int | None = None) -> dict[str, Commit]:
    """Returns, for each path, the newest commit in which it differs from all parents.

    Args:
        git: The repository.
        head: Where to start.
        paths: What to look for.
        most: How many commits to look at, the newest first; paths that none of them changed are left out.
    """
    wanted = _Wanted()
    for path in paths:
        wanted.add(path)
    found: dict[str, Commit] = {}
    # What a commit's parent holds is what the next commit of the walk holds.
    folders: LRUCache[ObjectID, Tree] = LRUCache(_FOLDERS_KEPT)
    for commit in islice(walk(git, head), most):
        if not wanted.inner:
            break
        parents = [parent.tree for parent in _parents(git, commit)]
        if commit.tree not in parents:
            found |= dict.fromkeys(_changed(git, folders, wanted, commit.tree, parents), commit)
    return found


@dataclass
class _Wanted:
    """A path whose last change is still to be found, and those below it."""

    path: str | None = None
    inner: dict[bytes, "_Wanted"] = field(default_factory=dict)

    def add(self, path: str) -> None:
        at = self
        for part in path.encode().split(b"/"):
            at = at.inner.setdefault(part, _Wanted())
        at.path = path


def _changed(
    git: Repo, folders: LRUCache[ObjectID, Tree], wanted: _Wanted, here: ObjectID, before: list[ObjectID]
) -> Iterator[str]:
    """Takes out of `wanted`, and yields, what differs from all the folders of before; equal folders are not read."""
    folder = _folder(git, folders, here)
    others = [_folder(git, folders, sha) for sha in before]
    for name, item in list(wanted.inner.items()):
        mode, sha = _entry(folder, name)
        olds = [_entry(other, name) for other in others]
        if sha is None or sha in (old for _, old in olds):
            continue
        if item.path is not None:
            yield item.path
            item.path = None
        if item.inner and S_ISDIR(mode):
            yield from _changed(git, folders, item, sha, [old for kind, old in olds if old and S_ISDIR(kind)])
        if not item.inner:
            del wanted.inner[name]


def _folder(git: Repo, folders: LRUCache[ObjectID, Tree], sha: ObjectID) -> Tree:
    if sha not in folders:
        found = git[sha]
        folders[sha] = found if isinstance(found, Tree) else Tree()
    return folders[sha]


def _entry(folder: Tree, name: bytes) -> tuple[int, ObjectID | None]:
    if name not in folder:
        return 0, None
    return folder[name]


def _message(commit: Commit) -> str:
    message: bytes = commit.message
    return message.decode(errors="replace")


def _parents(git: Repo, commit: Commit) -> Iterator[Commit]:
    for sha in commit.parents:
        parent = git[sha]
        if isinstance(parent, Commit):
            yield parent


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
