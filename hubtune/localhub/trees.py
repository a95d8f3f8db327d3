"""What a commit holds: its files and folders, with the sizes and digests that clients ask for."""

from collections.abc import Iterator
from dataclasses import dataclass
from stat import S_ISDIR

from dulwich.objects import Commit, ObjectID, Tree
from dulwich.repo import Repo

from hubtune.localhub.pointers import Pointer


@dataclass(frozen=True)
class TreeEntry:
    """A file or folder as git lists it.

    Attributes:
        path: Full path in the repository, without a leading slash.
        oid: Git's sha1 of the blob or tree, in hexadecimal.
        is_folder: Whether it is a folder.
    """

    path: str
    oid: str
    is_folder: bool


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


def find_entry(git: Repo, commit: ObjectID, path: str) -> TreeEntry | None:
    """Returns the file or folder at a path, or None. The empty path is the root folder."""
    sha, is_folder = tree_of(git, commit), True
    for part in path.encode(errors="replace").split(b"/") if path else ():
        tree = git[sha] if is_folder else None
        if not isinstance(tree, Tree) or part not in tree:
            return None
        mode, sha = tree[part]
        is_folder = S_ISDIR(mode)
    return TreeEntry(path, sha.decode(), is_folder)


def root_of(git: Repo, commit: ObjectID) -> TreeEntry:
    """Returns the root folder of a commit."""
    return TreeEntry("", tree_of(git, commit).decode(), is_folder=True)


def list_entries(git: Repo, folder: TreeEntry, *, recursive: bool, skip: set[str] | None = None) -> Iterator[TreeEntry]:
    """Yields what is in a folder, in git's order; a folder stands before what is in it.

    Args:
        git: The repository.
        folder: Where to look.
        recursive: Whether to look into the folders in it too.
        skip: The sha1s of folders not to look into; those that were looked into are added. None looks into all.
    """
    if skip is not None:
        if folder.oid in skip:
            return
        skip.add(folder.oid)
    tree = git[ObjectID(folder.oid.encode())]
    if not isinstance(tree, Tree):
        return
    prefix = f"{folder.path}/" if folder.path else ""
    for item in tree.iteritems(name_order=True):
        path = prefix + item.path.decode(errors="replace")
        entry = TreeEntry(path, item.sha.decode(), S_ISDIR(item.mode))
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
