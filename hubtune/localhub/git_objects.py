"""Git objects as they are on disk, each checked against the digest it is stored under; and the pointers to large files.

Nothing here goes through an object store, which would trust the files that are in doubt. `git fsck` would need git. It
names one path for each damaged object, knows nothing of large files, and stops at a damaged HEAD or config.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR

from dulwich.config import ConfigFile
from dulwich.errors import ApplyDeltaError, ChecksumMismatch, FileFormatException, ObjectFormatException
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import S_ISGITLINK, Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.pack import Pack, PackData, UnresolvedDeltas

from hubtune.localhub.disk import sync_folder

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]*)\n"
)
_LONGEST = 200
_HEX = re.compile(r"[0-9a-f]{40}")
_HEAD = re.compile(rb"ref: refs/\S+\n?|[0-9a-f]{40}\n?")
_PACKED_REF = re.compile(rb"#.*|\^[0-9a-f]{40}|[0-9a-f]{40} refs/\S+")
_TAIL = 20
_BLOCK = 1 << 20
_BROKEN = (
    ApplyDeltaError,
    AssertionError,
    ChecksumMismatch,
    EOFError,
    FileFormatException,
    KeyError,
    IndexError,
    OSError,
    ObjectFormatException,
    OverflowError,
    TypeError,
    UnresolvedDeltas,
    ValueError,
    struct.error,
    zlib.error,
)
"""What damaged bytes make the readers of packs and objects raise."""

_KINDS = {kind.type_name: kind.type_num for kind in (Blob, Commit, Tag, Tree)}


@dataclass(frozen=True)
class Pointer:
    """Names a large file by its content.

    Attributes:
        sha256: 64 hexadecimal digits.
        size: Bytes of the content, not of the pointer.
    """

    sha256: str
    size: int

    def encode(self) -> bytes:
        """Returns the pointer file's content."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @classmethod
    def decode(cls, content: bytes) -> "Pointer | None":
        """Returns the pointer that the content is, or None if it is an ordinary file."""
        if len(content) > _LONGEST:
            return None
        match = _POINTER.fullmatch(content)
        return cls(match[1].decode(), int(match[2])) if match else None


@dataclass(frozen=True)
class TreeItem:
    """An entry of a git tree."""

    name: str
    oid: str
    is_folder: bool


@dataclass(frozen=True)
class CommitLinks:
    """What a commit names."""

    tree: str
    parents: tuple[str, ...]


@dataclass
class GitContents:
    """The sound objects of a repository, as far as they name others, and what is damaged.

    Attributes:
        commits: By digest.
        trees: By digest.
        tags: From an annotated tag to the object that it names.
        pointers: From a blob to the large file that it stands for.
        blobs: Every sound blob.
        damaged: From an object's digest to what is wrong with it.
        damaged_packs: From the name of a pack's file to what is wrong with it.
    """

    commits: dict[str, CommitLinks] = field(default_factory=dict)
    trees: dict[str, tuple[TreeItem, ...]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pointers: dict[str, Pointer] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    damaged: dict[str, str] = field(default_factory=dict)
    damaged_packs: dict[str, str] = field(default_factory=dict)
    _items: dict[TreeItem, TreeItem] = field(default_factory=dict)

    def shared(self, item: TreeItem) -> TreeItem:
        """Returns the one item that stands for all equal ones: most folders hold what they held a commit before."""
        return self._items.setdefault(item, item)

    def __len__(self) -> int:
        return len(self.commits) + len(self.trees) + len(self.tags) + len(self.blobs) + len(self.damaged)

    def lacks(self, oid: str) -> bool:
        """Says whether there is no such object, not even a damaged one."""
        return not any(oid in kind for kind in (self.commits, self.trees, self.tags, self.blobs, self.damaged))

    def peel(self, oid: str) -> str:
        """Returns what an annotated tag names in the end, as far as it can be followed; others name themselves."""
        while oid in self.tags:
            oid = self.tags[oid]
        return oid


def read_objects(repo: Path) -> GitContents:
    """Reads and checks every object of a repository, loose or packed."""
    contents = GitContents()
    for path in sorted((repo / "objects").glob("[0-9a-f][0-9a-f]/*")):
        oid = path.parent.name + path.name
        if _HEX.fullmatch(oid):
            _read_loose(path, oid, contents)
    # Without an index a pack is not in use: what is needed of it is missing.
    for index in sorted((repo / "objects/pack").glob("pack-*.idx")):
        _read_pack(index.with_suffix(".pack"), contents)
    # A sound copy elsewhere makes up for a damaged one.
    for kind in (contents.commits, contents.trees, contents.tags, contents.blobs):
        for oid in contents.damaged.keys() & kind:
            del contents.damaged[oid]
    return contents


def restore_index(path: Path) -> bool:
    """Writes the index of a pack that has none; a damaged pack is left as it is.

    Returns:
        Whether the pack has an index now.
    """
    try:
        with PackData.from_path(path, DEFAULT_OBJECT_FORMAT) as pack:
            pack.check()
            pack.create_index(str(path.with_suffix(".idx")), version=2)
    except _BROKEN:
        return False
    sync_folder(path.parent)
    return True


def read_refs(repo: Path) -> Iterator[tuple[str, str]]:
    """Yields each ref's full name and what it holds: 40 digits, unless it is damaged."""
    packed = repo / "packed-refs"
    found: dict[str, str] = {}
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8", errors="replace").splitlines():
            value, _, name = line.partition(" ")
            if name and not line.startswith(("#", "^")):
                found[name] = value
    for path in sorted((repo / "refs").rglob("*")):
        if path.is_file() and path.suffix != ".lock":
            name = path.relative_to(repo).as_posix()
            found[name] = path.read_text(encoding="utf-8", errors="replace").strip()
    yield from sorted(found.items())


def damaged_files(repo: Path) -> Iterator[tuple[str, str]]:
    """Yields which of the files that git keeps beside objects and refs are damaged, with what is wrong with each."""
    try:
        if not _HEAD.fullmatch((repo / "HEAD").read_bytes()):
            yield "HEAD", "it names no branch"
    except OSError as error:
        yield "HEAD", f"it cannot be read: {_reason(error)}"
    try:
        # If it is missing git and dulwich work on, and no longer flush to the disk what they write.
        ConfigFile.from_path(str(repo / "config"))
    except (OSError, ValueError) as error:
        yield "config", f"it cannot be read: {_reason(error)}"
    try:
        lines = (repo / "packed-refs").read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        yield "packed-refs", f"it cannot be read: {_reason(error)}"
        return
    if not all(_PACKED_REF.fullmatch(line) for line in lines):
        yield "packed-refs", "it holds lines that are no refs"


def is_digest(text: str) -> bool:
    """Says whether a text is the digest of a git object."""
    return _HEX.fullmatch(text) is not None


def _read_loose(path: Path, oid: str, contents: GitContents) -> None:
    try:
        stream = zlib.decompressobj()
        whole = stream.decompress(path.read_bytes())
        if not stream.eof or stream.unused_data:
            raise ValueError("its compressed data does not end where the file does")
        if hashlib.sha1(whole, usedforsecurity=False).hexdigest() != oid:
            raise ValueError("its content has another digest")
        head, _, body = whole.partition(b"\0")
        kind, _, size = head.partition(b" ")
        if int(size) != len(body):
            raise ValueError("it has not the size that it states")
        _add(ShaFile.from_raw_string(_KINDS[kind], body), oid, contents)
    except _BROKEN as error:
        contents.damaged[oid] = _reason(error)


def _read_pack(path: Path, contents: GitContents) -> None:
    index = path.with_suffix(".idx")
    for file in (path, index):
        try:
            if not _ends_in_its_digest(file):
                contents.damaged_packs[file.name] = "its content has another digest than it states"
        except OSError as error:
            contents.damaged_packs[file.name] = _reason(error)
    try:
        with Pack(str(path.with_suffix("")), object_format=DEFAULT_OBJECT_FORMAT) as pack:
            # By its index: a damaged index cannot say which objects there are, and those in use are missed later.
            for oid in [oid.decode() for oid in pack]:
                _read_packed(pack, oid, contents)
    except _BROKEN as error:
        contents.damaged_packs.setdefault(path.name, _reason(error))


def _read_packed(pack: Pack, oid: str, contents: GitContents) -> None:
    try:
        kind, body = pack.get_raw(ObjectID(oid.encode()))
        found = ShaFile.from_raw_string(kind, body)
        header = b"%s %d\0" % (found.type_name, len(body))
        if hashlib.sha1(header + body, usedforsecurity=False).hexdigest() != oid:
            raise ValueError("its content has another digest")
        _add(found, oid, contents)
    except _BROKEN as error:
        contents.damaged[oid] = _reason(error)


def _add(found: ShaFile, oid: str, contents: GitContents) -> None:
    if isinstance(found, Commit):
        contents.commits[oid] = CommitLinks(found.tree.decode(), tuple(parent.decode() for parent in found.parents))
    elif isinstance(found, Tree):
        contents.trees[oid] = tuple(
            contents.shared(TreeItem(item.path.decode(errors="replace"), item.sha.decode(), S_ISDIR(item.mode)))
            for item in found.iteritems()
            # A submodule's commit lies in another repository.
            if not S_ISGITLINK(item.mode)
        )
    elif isinstance(found, Tag):
        contents.tags[oid] = found.object[1].decode()
    else:
        contents.blobs.add(oid)
        pointer = Pointer.decode(found.as_raw_string())
        if pointer is not None:
            contents.pointers[oid] = pointer


def _ends_in_its_digest(path: Path) -> bool:
    """Says whether a pack's file, or its index, ends in the sha1 of all that is before."""
    left = path.stat().st_size - _TAIL
    if left < 0:
        return False
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        return file.read() == digest.digest()


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
