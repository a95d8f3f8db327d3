"""Writes refs: by compare-and-swap, and so that what a client was told survives a power cut."""

import os
from pathlib import Path

from dulwich.file import FileLocked
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from hubtune.localhub.disk import locks_released, sync_folder


def swap_ref(git: Repo, ref: Ref, old: ObjectID | None, new: ObjectID) -> bool:
    """Moves a ref from `old`, or makes it where that is None.

    Returns:
        False where the ref is not at `old` any more, or where git itself is writing it.
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
