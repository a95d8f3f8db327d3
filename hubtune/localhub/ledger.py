"""Which large files a repository has: those whose content was sent to it.

All repositories share one store, in which a digest finds the content. Were the digest enough to commit and then to
download it, nothing in a private repository would be safe from those who learn its digests. So each repository keeps a
ledger, a folder with an empty file named for each large file that somebody proved to have by sending it. Only what
stands there can be committed to the repository and is served from it.
"""

import tempfile
from pathlib import Path

from hubtune.localhub.disk import sync_folder, sync_tree
from hubtune.localhub.git_check import read_objects
from hubtune.localhub.hub_folder import HubFolder, repo_folders
from hubtune.localhub.large_files import LargeFileStore
from hubtune.localhub.pointers import Pointer

LEDGER_FOLDER = "large-files"
"""The ledger, beside git's own files."""


class RepoLargeFiles:
    """The store of large files as one repository sees it: what is not in its ledger is not there.

    Args:
        store: The store of the Hub. Who changes a ledger holds its lock, `changing`.
        repo: The repository's folder.
    """

    def __init__(self, store: LargeFileStore, repo: Path) -> None:
        self._store = store
        self._folder = repo / LEDGER_FOLDER

    def size(self, sha256: str) -> int | None:
        """Returns the size of the content in bytes, or None where the repository lacks it."""
        size = self._store.size(sha256)
        return size if self.lists(sha256) else None

    def holds(self, pointer: Pointer) -> bool:
        """Says whether the pointer's content is here."""
        return self.size(pointer.sha256) == pointer.size

    def path(self, sha256: str) -> Path:
        """Returns where the content with this digest is, or would be."""
        return self._store.path(sha256)

    def lists(self, sha256: str) -> bool:
        """Says whether the large file is in the ledger, be its content in the store or not."""
        return (self._folder / self._store.path(sha256).name).is_file()

    def all(self) -> set[str]:
        """Returns the digest of each large file in the ledger."""
        return {path.name for path in self._folder.iterdir()}

    def add(self, sha256: str) -> None:
        """Puts a large file into the ledger, durably."""
        (self._folder / self._store.path(sha256).name).touch()
        sync_folder(self._folder)

    def remove(self, sha256: str) -> None:
        """Takes a large file out of the ledger; the content stays in the store."""
        (self._folder / self._store.path(sha256).name).unlink(missing_ok=True)
        sync_folder(self._folder)


def restore_ledgers(folder: HubFolder) -> None:
    """Gives a ledger to each repository that has none: one that was made before there were ledgers.

    Its own git objects tell what is in it. They are read one by one, so that damage to one does no harm to the others.
    """
    for repo in repo_folders(folder.repos):
        if (repo / LEDGER_FOLDER).is_dir():
            continue
        draft = Path(tempfile.mkdtemp(dir=folder.scratch))
        draft.chmod(0o755)
        for pointer in read_objects(repo).pointers.values():
            (draft / pointer.sha256).touch()
        sync_tree(draft)
        draft.rename(repo / LEDGER_FOLDER)
        sync_folder(repo)
