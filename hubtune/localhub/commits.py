"""Writes commits: objects first, durably, and the branch last, by compare-and-swap.

So a reader sees the branch before or after a commit, never between, and of two writers on one parent one is refused.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from dulwich.objects import Commit, ObjectID, ShaFile
from dulwich.refs import Ref
from dulwich.repo import Repo

from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES
from hubtune.localhub.changes import AddFile, CommitRequest
from hubtune.localhub.disk import require_room
from hubtune.localhub.errors import StaleParentError
from hubtune.localhub.large_files import LargeFileStore
from hubtune.localhub.revisions import read_ref
from hubtune.localhub.tree_edits import TreeEdit

FIRST_COMMIT = CommitRequest("initial commit", "", None, (AddFile(".gitattributes", NEW_REPO_ATTRIBUTES),))
"""What every new repository and every empty branch starts with."""

_PACK_FROM = 100


def commit(git: Repo, ref: Ref, request: CommitRequest, *, author: str, large_files: LargeFileStore) -> ObjectID:
    """Puts a commit on a branch; the caller holds the repository's lock.

    Args:
        git: The repository.
        ref: The branch's full ref; where it does not exist yet, the commit has no parent.
        request: What to change.
        author: The user's name.
        large_files: Where the content of large files must already be.

    Returns:
        The new commit.

    Raises:
        ApiError: If the branch is not at the expected parent any more, or a change cannot be made.
    """
    head = read_ref(git, ref)
    if request.parent is not None and not (head and head.startswith(request.parent.lower().encode())):
        raise StaleParentError
    edit = TreeEdit(git, head, large_files)
    for change in request.changes:
        edit.apply(change)
    tree, objects = edit.build()
    new = _new_commit(tree, head, request.message, author)
    _store(git, [*objects, new])
    moved = git.refs.add_if_new(ref, new.id) if head is None else git.refs.set_if_equals(ref, head, new.id)
    if not moved:
        raise StaleParentError
    return new.id


def identity(user: str) -> bytes:
    """Returns the author line of a user, as git writes it."""
    return f"{user} <{user}@users.noreply.localhost>".encode()


def _new_commit(tree: ObjectID, parent: ObjectID | None, message: str, author: str) -> Commit:
    new = Commit()
    new.tree = tree
    new.parents = [parent] if parent else []
    new.author = new.committer = identity(author)
    new.author_time = new.commit_time = int(time.time())
    new.author_timezone = new.commit_timezone = 0
    new.encoding = b"UTF-8"
    new.message = message.encode(errors="replace")
    return new


def _store(git: Repo, objects: Iterable[ShaFile]) -> None:
    items = list(objects)
    require_room(Path(git.path), sum(item.raw_length() for item in items))
    # As git does it: many objects make one pack, which is one flush to disk instead of one each.
    if len(items) >= _PACK_FROM:
        git.object_store.add_objects([(item, None) for item in items])
    else:
        for item in items:
            git.object_store.add_object(item)
