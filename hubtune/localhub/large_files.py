"""The store of large files: each kept once, under the sha256 of its content; and which repository was granted which.

A file enters the store only when complete and checked. Until then it is a temporary file, so whatever has a name here
can be served without looking again. A repository has only the large files that were uploaded to it.
"""

import hashlib
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.disk import make_folder, sync_folder, sync_tree
from hubtune.localhub.git_objects import Pointer, read_objects
from hubtune.localhub.hub_folder import HubFolder, repo_folders

_SHA256 = re.compile(r"[0-9a-f]{64}")
GRANTS_FOLDER = "large-files"
"""The upload grants, beside git's own files: an empty file for each large file, named by its digest."""


class LargeFileStore:
    """Content-addressed files below `objects/`, spread over two levels of folders.

    Args:
        root: The store's folder.
        incoming: Where unfinished uploads live; on the same file system as `root`.

    Attributes:
        changing: Held while content comes or goes together with its upload grant to a repository.
    """

    def __init__(self, root: Path, incoming: Path) -> None:
        self._root = root
        self._incoming = incoming
        self.changing = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)
        incoming.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Returns where the content with this digest is, or would be."""
        if not _SHA256.fullmatch(sha256):
            raise ApiError(400, f"Not a sha256: {sha256}")
        return self._root / sha256[:2] / sha256[2:4] / sha256

    def size(self, sha256: str) -> int | None:
        """Returns the size of the content in bytes, or None if the store lacks it."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def holds(self, pointer: Pointer) -> bool:
        """Says whether the pointer's content is here."""
        return self.size(pointer.sha256) == pointer.size

    def discard(self, sha256: str) -> None:
        """Removes the content with this digest, if it is here."""
        path = self.path(sha256)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)

    def receive(self, pointer: Pointer) -> "IncomingFile":
        """Returns a writer for the pointer's content, to be used in a `with` statement.

        Raises:
            ApiError: 507 if there is no room for it.
        """
        if shutil.disk_usage(self._incoming).free < pointer.size:
            raise ApiError(507, f"The disk of this Hub has no room for {pointer.size} bytes.")
        return IncomingFile(pointer, self.path(pointer.sha256), self._root, self._incoming)


class IncomingFile:
    """A large file on its way in; hashed as it is written, so that memory stays flat.

    Leaving the `with` block without `keep` discards what was written.
    """

    def __init__(self, pointer: Pointer, target: Path, root: Path, incoming: Path) -> None:
        self._pointer = pointer
        self._target = target
        self._root = root
        self._digest = hashlib.sha256()
        self._size = 0
        descriptor, draft = tempfile.mkstemp(dir=incoming)
        self._draft = Path(draft)
        self._file = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Self:
        return self

    def write(self, chunk: bytes) -> None:
        """Appends a chunk.

        Raises:
            ApiError: If there is now more than was announced.
        """
        self._size += len(chunk)
        if self._size > self._pointer.size:
            raise ApiError(400, f"The upload is longer than the {self._pointer.size} bytes that were announced.")
        self._digest.update(chunk)
        self._file.write(chunk)

    def check(self) -> None:
        """Makes sure that the content is complete, right, and on the disk.

        Raises:
            ApiError: If size or digest differ from what was announced.
        """
        if self._size != self._pointer.size:
            raise ApiError(400, f"The upload has {self._size} bytes; {self._pointer.size} bytes were announced.")
        if self._digest.hexdigest() != self._pointer.sha256:
            raise ApiError(400, f"The upload's sha256 is not {self._pointer.sha256}.")
        self._file.flush()
        os.fsync(self._file.fileno())

    def keep(self) -> None:
        """Moves the content, which was checked, into the store; what is there already stays as it is."""
        make_folder(self._target.parent, below=self._root)
        if not self._target.is_file() or self._target.stat().st_size != self._pointer.size:
            self._draft.replace(self._target)
        sync_folder(self._target.parent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Writes what is still buffered, which a full disk refuses.
            self._file.close()
        finally:
            self._draft.unlink(missing_ok=True)


class RepoLargeFiles:
    """The store of large files as one repository sees it: what was not uploaded to it is not there.

    Else whoever knows a digest could have any repository's content handed out.

    Args:
        store: The store of the Hub. Who changes grants holds its lock, `changing`.
        repo: The repository's folder.
    """

    def __init__(self, store: LargeFileStore, repo: Path) -> None:
        self._store = store
        self._folder = repo / GRANTS_FOLDER

    def size(self, sha256: str) -> int | None:
        """Returns the size of the content in bytes, or None if the repository lacks it."""
        size = self._store.size(sha256)
        return size if self.lists(sha256) else None

    def holds(self, pointer: Pointer) -> bool:
        """Says whether the pointer's content is here."""
        return self.size(pointer.sha256) == pointer.size

    def path(self, sha256: str) -> Path:
        """Returns where the content with this digest is, or would be."""
        return self._store.path(sha256)

    def lists(self, sha256: str) -> bool:
        """Says whether the large file was granted to the repository, even if its content is not in the store."""
        return (self._folder / self._store.path(sha256).name).is_file()

    def all(self) -> set[str]:
        """Returns the digest of each large file that was granted."""
        return {path.name for path in self._folder.iterdir()}

    def add(self, sha256: str) -> None:
        """Grants a large file to the repository, durably."""
        (self._folder / self._store.path(sha256).name).touch()
        sync_folder(self._folder)

    def remove(self, sha256: str) -> None:
        """Takes a grant back; the content stays in the store."""
        (self._folder / self._store.path(sha256).name).unlink(missing_ok=True)
        sync_folder(self._folder)


def restore_grants(folder: HubFolder) -> None:
    """Writes the grants of each repository that has none because it is older than grants.

    Its own git objects tell which they are. They are read one by one, so that damage to one does no harm to the others.
    """
    for repo in repo_folders(folder.repos):
        if (repo / GRANTS_FOLDER).is_dir():
            continue
        draft = Path(tempfile.mkdtemp(dir=folder.scratch))
        draft.chmod(0o755)
        for pointer in read_objects(repo).pointers.values():
            (draft / pointer.sha256).touch()
        sync_tree(draft)
        draft.rename(repo / GRANTS_FOLDER)
        sync_folder(repo)
