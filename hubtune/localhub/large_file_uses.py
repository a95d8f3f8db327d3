"""Where a repository's history refers to large files."""

from collections.abc import Iterator
from dataclasses import dataclass

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo

from hubtune.localhub.history import walk
from hubtune.localhub.pointers import Pointer
from hubtune.localhub.revisions import peel
from hubtune.localhub.trees import list_entries, read_blob, root_of


@dataclass(frozen=True)
class LargeFileUse:
    """The first place at which a large file is found.

    Attributes:
        pointer: The large file.
        path: What it is called there.
        blob: Git's sha1 of the pointer.
        commit: The commit.
        ref: The full ref whose history the commit is in.
    """

    pointer: Pointer
    path: str
    blob: str
    commit: Commit
    ref: str


def large_file_uses(git: Repo) -> Iterator[LargeFileUse]:
    """Yields each large file of the whole history once: in the oldest commit, of main first."""
    seen_commits: set[ObjectID] = set()
    # Most files and folders of a commit are those of the commit before: each is read once.
    seen: set[ObjectID] = set()
    for name, sha in sorted(git.refs.as_dict().items(), key=lambda item: item[0] != b"refs/heads/main"):
        if not name.startswith(b"refs/"):
            continue
        history = [commit for commit in walk(git, peel(git, sha)) if commit.id not in seen_commits]
        seen_commits.update(commit.id for commit in history)
        for commit in reversed(history):
            for entry in list_entries(git, root_of(git, commit.id), recursive=True, skip=seen):
                pointer = None if entry.is_folder else Pointer.decode(read_blob(git, entry.oid))
                if pointer is not None:
                    yield LargeFileUse(pointer, entry.path, entry.oid, commit, name.decode())
