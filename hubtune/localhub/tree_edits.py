"""A commit's changes: read from the client's lines, applied to the parent's files, and built into new git trees."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from stat import S_IFDIR, S_IFREG
from typing import BinaryIO, cast

from dulwich.objects import Blob, ObjectID, ShaFile, Tree
from dulwich.repo import Repo

from hubtune.localhub import api_errors
from hubtune.localhub.attributes import LargePatterns, mark_large
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.large_files import RepoLargeFiles
from hubtune.localhub.revisions import resolve
from hubtune.localhub.trees import PathFinder, read_blob, tree_of

# The Hub's own limit is of this order; every line is held in memory.
_MOST_LINES = 25_000
_LONGEST_LINE = 100 << 20
"""Longer than an ordinary file in base64, which is sent as a large one from 10 MiB on."""

_FILE_MODE = S_IFREG | 0o644
_ATTRIBUTES = b".gitattributes"
_MOST_COMPARED = 50_000_000
_ENDS = re.compile(rb"/|\Z")


@dataclass(frozen=True)
class AddFile:
    """Puts an ordinary file at a path."""

    path: str
    content: bytes


@dataclass(frozen=True)
class AddLargeFile:
    """Puts a stored large file at a path.

    Attributes:
        path: Where it goes.
        sha256: Its digest.
        size: Its size in bytes as the client believes it to be, or None.
    """

    path: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class DeleteFile:
    """Removes one file."""

    path: str


@dataclass(frozen=True)
class DeleteFolder:
    """Removes all files below a folder."""

    path: str


@dataclass(frozen=True)
class CopyFile:
    """Puts a file of the same repository at a second path.

    Attributes:
        path: Where the copy goes.
        source: The path to copy from.
        revision: Where to read the source, or None for the commit's parent.
    """

    path: str
    source: str
    revision: str | None


Change = AddFile | AddLargeFile | DeleteFile | DeleteFolder | CopyFile


@dataclass(frozen=True)
class CommitRequest:
    """A commit that a client asks for.

    Attributes:
        summary: First line of the message.
        description: The rest of the message.
        parent: The commit, or the start of one, that the branch must still be at; None accepts any.
        changes: The operations, in order.
    """

    summary: str
    description: str
    parent: str | None
    changes: tuple[Change, ...]

    @property
    def message(self) -> str:
        """The message as git stores it."""
        return f"{self.summary}\n\n{self.description}" if self.description else self.summary


def read_commit_request(body: BinaryIO) -> CommitRequest:
    """Reads the newline-delimited JSON of a commit request: a header, then one operation a line.

    Raises:
        ApiError: If a line cannot be understood.
    """
    header: Mapping[str, object] | None = None
    changes: list[Change] = []
    for key, value in _lines(body):
        if key == "header":
            header = value
        else:
            changes.append(_read_change(key, value))
    if header is None or not _text(header, "summary"):
        raise api_errors.ApiError(400, "A commit needs a header with a summary.")
    parent = header.get("parentCommit")
    return CommitRequest(
        summary=api_errors.check_length(_text(header, "summary"), "summary", api_errors.LONGEST_LINE),
        description=api_errors.check_length(str(header.get("description") or ""), "description"),
        parent=str(parent) if parent else None,
        changes=tuple(changes),
    )


def _lines(body: BinaryIO) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(iter(lambda: body.readline(_LONGEST_LINE), b""), start=1):
        if len(line) == _LONGEST_LINE:
            raise api_errors.ApiError(413, f"Line {number} of the commit is longer than {_LONGEST_LINE >> 20} MiB.")
        if not line.strip():
            continue
        if number > _MOST_LINES:
            raise api_errors.ApiError(413, f"A commit may have {_MOST_LINES} lines at most.")
        item = api_errors.read_object(line, f"Line {number} of the commit")
        value = item.get("value")
        if not isinstance(value, dict):
            raise api_errors.ApiError(400, f"Line {number} of the commit has no key and value.")
        yield str(item.get("key")), cast("Mapping[str, object]", value)


def _read_change(key: str, value: Mapping[str, object]) -> Change:
    path = _text(value, "path")
    if key == "file":
        return AddFile(path, _content(value))
    if key == "lfsFile":
        size = value.get("size")
        return AddLargeFile(path, _text(value, "oid"), size if isinstance(size, int) else None)
    if key == "deletedFile":
        return DeleteFile(path)
    if key == "deletedFolder":
        return DeleteFolder(path.removesuffix("/"))
    if key == "copyFile":
        revision = value.get("srcRevision")
        return CopyFile(path, _text(value, "srcPath"), str(revision) if revision else None)
    raise api_errors.ApiError(400, f"Unknown operation in the commit: {key}")


def _content(value: Mapping[str, object]) -> bytes:
    content = _text(value, "content")
    if value.get("encoding") != "base64":
        return content.encode(errors="replace")
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise api_errors.ApiError(400, f"The content of {value.get('path')} is not base64.") from error


def _text(value: Mapping[str, object], field: str) -> str:
    found = value.get(field)
    if not isinstance(found, str):
        raise api_errors.ApiError(400, f"An operation in the commit lacks `{field}`.")
    return found


@dataclass
class _Folder:
    files: dict[bytes, tuple[int, ObjectID]] = field(default_factory=dict)
    folders: dict[bytes, "_Folder"] = field(default_factory=dict)


class TreeEdit:
    """The files of a commit in the making.

    Args:
        git: The repository; only read from.
        parent: The commit to start from, or None to start empty.
        large_files: Where large files must already be.
    """

    def __init__(self, git: Repo, parent: ObjectID | None, large_files: RepoLargeFiles) -> None:
        self._git = git
        self._parent = parent
        self._large_files = large_files
        self._files: dict[bytes, tuple[int, ObjectID]] = {}
        self._new: dict[ObjectID, ShaFile] = {}
        self._large_paths: list[str] = []
        self._added: list[bytes] = []
        self._compared = 0
        self._sources: dict[str | None, PathFinder | None] = {}
        if parent is not None:
            for entry in git.object_store.iter_tree_contents(tree_of(git, parent)):
                if entry.path is not None and entry.mode is not None and entry.sha is not None:
                    self._files[entry.path] = (entry.mode, entry.sha)
        self._before = frozenset(self._files)

    def apply(self, change: Change) -> None:
        """Makes one change.

        Raises:
            ApiError: If the path is not allowed, or what the change names does not exist.
        """
        match change:
            case AddFile(path, content):
                self._check_pointer(path, content)
                self._put(api_errors.check_path(path), content)
            case AddLargeFile(path, sha256, announced):
                size = self._large_files.size(sha256)
                if size is None:
                    raise api_errors.ApiError(400, f"{path} was not uploaded to the repository: no object {sha256}.")
                if announced not in {None, size}:
                    raise api_errors.ApiError(400, f"The content of {path} has {size} bytes, not {announced}.")
                self._put(api_errors.check_path(path), Pointer(sha256, size).encode())
                self._large_paths.append(path)
            case DeleteFile(path):
                # Clients tell a folder by a slash at its end, which people leave out.
                if self._files.pop(api_errors.encode_path(path), None) is None and not self._remove_folder(path):
                    raise api_errors.entry_not_found(f"A file with this name doesn't exist: {path}")
            case DeleteFolder(path):
                if not self._remove_folder(path):
                    raise api_errors.entry_not_found(f"A folder with this name doesn't exist: {path}")
            case CopyFile(path, source, revision):
                self.replace(api_errors.check_path(path), self._source(source, revision))

    def replace(self, path: bytes, entry: tuple[int, ObjectID] | None) -> None:
        """Puts what is stored already at a path, or removes what is there."""
        if entry is None:
            self._files.pop(path, None)
        else:
            self._files[path] = entry
            self._added.append(path)

    def build(self) -> tuple[ObjectID, list[ShaFile]]:
        """Returns the root tree and every object that the repository lacks.

        Raises:
            ApiError: If a path is a file and a folder at once, or a new one collides with another.
        """
        self._mark_large_paths()
        root = _Folder()
        for path, entry in self._files.items():
            *parents, name = path.split(b"/")
            folder = root
            for parent in parents:
                folder = folder.folders.setdefault(parent, _Folder())
            folder.files[name] = entry
        self._check_collisions(root)
        tree = self._build_folder(root)
        store = self._git.object_store
        return tree, [item for sha, item in self._new.items() if sha not in store]

    def _check_collisions(self, root: _Folder) -> None:
        """Refuses a new name beside one that is the same on a system that regards neither case nor composition."""
        known = {path[: end.start()] for path in self._before for end in _ENDS.finditer(path)}
        names: dict[int, dict[str, set[bytes]]] = {}
        for path in self._added:
            folder = root
            for end in _ENDS.finditer(path):
                prefix, name = path[: end.start()], path[: end.start()].rpartition(b"/")[2]
                if id(folder) not in names:
                    names[id(folder)] = _by_sameness((*folder.files, *folder.folders))
                others = names[id(folder)].get(api_errors.same_name(name), {name}) - {name}
                if others and prefix not in known:
                    other = min(others).decode(errors="replace")
                    raise api_errors.ApiError(
                        400, f"{path.decode()} has the same name as {other} on systems that ignore case."
                    )
                if name not in folder.folders:
                    break
                folder = folder.folders[name]

    def _build_folder(self, folder: _Folder) -> ObjectID:
        tree = Tree()
        for name, (mode, sha) in folder.files.items():
            if name in folder.folders:
                raise api_errors.ApiError(
                    400, f"{name.decode(errors='replace')} cannot be a file and a folder at once."
                )
            tree.add(name, mode, sha)
        for name, inner in folder.folders.items():
            tree.add(name, S_IFDIR, self._build_folder(inner))
        self._new[tree.id] = tree
        return tree.id

    def _remove_folder(self, path: str) -> bool:
        # Each looks at all files.
        self._compared += len(self._files)
        if self._compared > _MOST_COMPARED:
            raise api_errors.ApiError(
                413, "The commit deletes more folders than this Hub does at once. Delete them in several."
            )
        prefix = api_errors.encode_path(path) + b"/"
        doomed = [name for name in self._files if name.startswith(prefix)]
        for name in doomed:
            del self._files[name]
        return bool(doomed)

    def _put(self, path: bytes, content: bytes) -> None:
        blob = Blob.from_string(content)
        self._new[blob.id] = blob
        self.replace(path, (_FILE_MODE, blob.id))

    def _source(self, path: str, revision: str | None) -> tuple[int, ObjectID]:
        if revision not in self._sources:
            commit = resolve(self._git, revision) if revision else self._parent
            self._sources[revision] = PathFinder(self._git, commit) if commit else None
        finder = self._sources[revision]
        entry = finder.find(path) if finder else None
        if entry is None or entry.is_folder:
            raise api_errors.entry_not_found(f"A file with this name doesn't exist: {path}")
        # A commit that no branch leads to any longer may refer to a large file that was removed for good.
        self._check_pointer(path, read_blob(self._git, entry.oid))
        return entry.mode, ObjectID(entry.oid.encode())

    def _check_pointer(self, path: str, content: bytes) -> None:
        pointer = Pointer.decode(content)
        if pointer is not None and not self._large_files.holds(pointer):
            raise api_errors.ApiError(
                400, f"{path} is a pointer to a large file that was not uploaded to the repository."
            )

    def _mark_large_paths(self) -> None:
        if not self._large_paths:
            return
        entry = self._files.get(_ATTRIBUTES)
        content = self._read(entry[1]) if entry else b""
        patterns = LargePatterns(content)
        unmarked = [path for path in dict.fromkeys(self._large_paths) if not patterns.match(path)]
        if unmarked:
            self._put(_ATTRIBUTES, mark_large(content, unmarked))

    def _read(self, sha: ObjectID) -> bytes:
        blob = self._new[sha] if sha in self._new else self._git[sha]
        return blob.as_raw_string()


def _by_sameness(names: Iterable[bytes]) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = {}
    for name in names:
        found.setdefault(api_errors.same_name(name), set()).add(name)
    return found
