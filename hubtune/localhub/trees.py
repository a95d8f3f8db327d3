"""What a commit holds: its files and folders, with the sizes and digests that clients ask for."""

from collections.abc import Iterator
from dataclasses import dataclass
from stat import S_IFDIR, S_ISDIR

from dulwich.objects import S_ISGITLINK, Commit, ObjectID, Tree
from dulwich.repo import Repo

from hubtune.localhub.pointers import Pointer


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
    """Yields what is in a folder, in git's order; a folder stands before what is in it.

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
    """Returns the content of a small file, or None where the commit has no such file."""
    entry = find_entry(git, commit, path)
    return None if entry is None or entry.is_folder else read_blob(git, entry.oid)


def file_facts(git: Repo, oid: str) -> FileFacts:
    """Returns the size of a file and, where it is large, what its pointer says."""
    content = read_blob(git, oid)
    pointer = Pointer.decode(content)
    return FileFacts(pointer.size if pointer else len(content), pointer)
