"""Writes commits: objects first, durably, and the branch last, by compare-and-swap.

So a reader sees the branch before or after a commit, never between, and of two writers on one parent one is refused.
Whatever else moves a ref (merging, squashing, tags) does it with `swap_ref` and `remove_ref`, too.
"""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dulwich.file import FileLocked
from dulwich.objects import Commit, ObjectID, ShaFile
from dulwich.refs import Ref
from dulwich.repo import Repo

from hubtune.localhub.api_errors import StaleParentError
from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES
from hubtune.localhub.disk import locks_released, require_room, sync_folder
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.large_files import RepoLargeFiles
from hubtune.localhub.revisions import names, read_ref
from hubtune.localhub.tree_edits import AddFile, CommitRequest, TreeEdit

FIRST_COMMIT = CommitRequest("initial commit", "", None, (AddFile(".gitattributes", NEW_REPO_ATTRIBUTES),))
"""What every new repository and every empty branch starts with, except for the card of a space."""

_PACK_FROM = 100
_SPACE_CARD = """---
title: {title}
{sdk}pinned: false
---

# {title}
"""


def swap_ref(git: Repo, ref: Ref, old: ObjectID | None, new: ObjectID) -> bool:
    """Moves a ref from `old`, or makes it if that is None.

    Returns:
        False if the ref is not at `old` any longer, or if git itself is writing it.
    """
    try:
        with locks_released():
            done = git.refs.add_if_new(ref, new) if old is None else git.refs.set_if_equals(ref, old, new)
    except FileLocked:
        return False
    if done:
        _sync(git, ref)
    return done


def remove_ref(git: Repo, ref: Ref) -> None:
    """Removes a ref, wherever it points."""
    with locks_released():
        git.refs.remove_if_equals(ref, None)
    _sync(git, ref)
    # Git may have put the ref among the packed ones, which are a file in this folder.
    sync_folder(Path(git.path))


def _sync(git: Repo, ref: Ref) -> None:
    # The folders of a name such as refs/heads/next/one may be new, or gone with the ref.
    root = Path(git.path)
    folder = (root / os.fsdecode(ref)).parent
    while folder != root:
        if folder.is_dir():
            sync_folder(folder)
        folder = folder.parent


def first_commit(repo_id: RepoId, sdk: str | None) -> CommitRequest:
    """Returns what a new repository starts with; a space has a card, without which the Hub would not run it."""
    if repo_id.type is not RepoType.SPACE:
        return FIRST_COMMIT
    # A name may look like a number, which a title must not be.
    card = _SPACE_CARD.format(title=json.dumps(repo_id.name), sdk=f"sdk: {sdk}\n" if sdk else "")
    return replace(FIRST_COMMIT, changes=(*FIRST_COMMIT.changes, AddFile("README.md", card.encode())))


@dataclass(frozen=True)
class Branch:
    """A branch to commit to.

    Attributes:
        git: The repository.
        ref: The branch's full ref.
        large_files: Where large files must already be.
        start: The first commit's parent if the branch does not exist yet; None for a commit without a parent.
    """

    git: Repo
    ref: Ref
    large_files: RepoLargeFiles
    start: ObjectID | None = None


def commit(branch: Branch, request: CommitRequest, author: str) -> ObjectID:
    """Puts a commit on a branch; the caller holds the repository's lock.

    Args:
        branch: The branch.
        request: What to change.
        author: The user's name.

    Returns:
        The new commit.

    Raises:
        ApiError: If the branch is not at the expected parent any longer, or a change cannot be made.
    """
    git = branch.git
    head = read_ref(git, branch.ref)
    parent = branch.start if head is None else head
    if request.parent is not None and not (parent and names(request.parent, parent)):
        raise StaleParentError
    edit = TreeEdit(git, parent, branch.large_files)
    for change in request.changes:
        edit.apply(change)
    tree, objects = edit.build()
    new = new_commit(tree, parent, request.message, author)
    move_branch(git, branch.ref, head, new, objects)
    return new.id


def move_branch(git: Repo, ref: Ref, head: ObjectID | None, new: Commit, objects: Iterable[ShaFile]) -> None:
    """Stores a new commit with what it needs and moves a branch to it.

    Args:
        git: The repository.
        ref: The branch's full ref.
        head: Where the branch must still be, or None if it must not exist.
        new: The commit.
        objects: What the commit refers to and the repository may lack.

    Raises:
        StaleParentError: If the branch is somewhere else.
    """
    store_objects(git, [*objects, new])
    if not swap_ref(git, ref, head, new.id):
        raise StaleParentError


def identity(user: str) -> bytes:
    """Returns the author line of a user, as git writes it."""
    return f"{user} <{user}@users.noreply.localhost>".encode()


def new_commit(tree: ObjectID, parent: ObjectID | None, message: str, author: str) -> Commit:
    """Returns a commit that is made now; it is not stored yet."""
    new = Commit()
    new.tree = tree
    new.parents = [parent] if parent else []
    new.author = new.committer = identity(author)
    new.author_time = new.commit_time = int(time.time())
    new.author_timezone = new.commit_timezone = 0
    new.encoding = b"UTF-8"
    new.message = message.encode(errors="replace")
    return new


def store_objects(git: Repo, objects: Iterable[ShaFile]) -> None:
    """Stores objects that no ref needs yet."""
    items = list(objects)
    require_room(Path(git.path), sum(item.raw_length() for item in items))
    folder = Path(os.fsdecode(git.object_store.path))
    # As git does it: many objects make one pack, which is one flush to disk instead of one each.
    with locks_released():
        if len(items) >= _PACK_FROM:
            git.object_store.add_objects([(item, None) for item in items])
            changed = {folder / "pack"}
        else:
            for item in items:
                git.object_store.add_object(item)
            changed = {folder / item.id[:2].decode() for item in items}
    # Each object was flushed as it was written; its name was not, and the branch must not survive if that is lost.
    for path in (*sorted(changed), folder):
        sync_folder(path)
