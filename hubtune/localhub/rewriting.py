"""Changes of history: squashing a branch to one commit, and taking large files out of every commit."""

from collections.abc import Iterator

from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from hubtune.localhub.commits import move_branch, new_commit, store_objects
from hubtune.localhub.history import walk
from hubtune.localhub.pointers import Pointer
from hubtune.localhub.ref_writes import swap_ref
from hubtune.localhub.revisions import peel
from hubtune.localhub.trees import tree_of


def squash(git: Repo, ref: Ref, head: ObjectID, *, message: str, author: str) -> ObjectID:
    """Replaces the history of a branch by one commit with the same files; the caller holds the repository's lock.

    Args:
        git: The repository.
        ref: The branch's full ref.
        head: Where the branch is.
        message: The message of the commit.
        author: The user's name.

    Returns:
        The new commit.
    """
    new = new_commit(tree_of(git, head), None, message, author)
    move_branch(git, ref, head, new, [])
    return new.id


class Removal:
    """Rewrites all branches and tags so that no commit refers to some large files.

    Args:
        git: The repository; the caller holds its lock.
        doomed: The sha256 of each large file.
    """

    def __init__(self, git: Repo, doomed: set[str]) -> None:
        self._git = git
        self._doomed = doomed
        self._commits: dict[ObjectID, ObjectID] = {}
        self._trees: dict[ObjectID, ObjectID] = {}
        self._new: dict[ObjectID, ShaFile] = {}

    def run(self) -> None:
        """Rewrites the history. The refs move last, so that a crash leaves each at its old or its new commit."""
        moves = [(Ref(name), sha, self._target(sha)) for name, sha in self._refs()]
        store_objects(self._git, self._new.values())
        for ref, old, new in moves:
            if new != old:
                swap_ref(self._git, ref, old, new)

    def _refs(self) -> Iterator[tuple[bytes, ObjectID]]:
        return ((name, sha) for name, sha in self._git.refs.as_dict().items() if name.startswith(b"refs/"))

    def _target(self, sha: ObjectID) -> ObjectID:
        commit = self._history(peel(self._git, sha))
        found = self._git[sha]
        if not isinstance(found, Tag):
            return commit
        tag = found.copy()
        if isinstance(tag, Tag) and tag.object[1] != commit:
            tag.object = (Commit, commit)
            self._new[tag.id] = tag
        return tag.id

    def _history(self, head: ObjectID) -> ObjectID:
        for commit in reversed([item for item in walk(self._git, head) if item.id not in self._commits]):
            self._commits[commit.id] = self._commit(commit)
        return self._commits[head]

    def _commit(self, commit: Commit) -> ObjectID:
        tree = self._tree(commit.tree)
        parents = [self._commits.get(parent, parent) for parent in commit.parents]
        if tree == commit.tree and parents == commit.parents:
            return commit.id
        new = commit.copy()
        if isinstance(new, Commit):
            new.tree = tree
            new.parents = parents
            self._new[new.id] = new
        return new.id

    def _tree(self, sha: ObjectID) -> ObjectID:
        if sha not in self._trees:
            old = self._git[sha]
            new = Tree()
            for entry in old.iteritems() if isinstance(old, Tree) else ():
                found = self._git[entry.sha]
                if isinstance(found, Tree):
                    inner = self._tree(entry.sha)
                    # Git keeps no empty folders.
                    if self._has_entries(inner):
                        new.add(entry.path, entry.mode, inner)
                elif not self._is_doomed(found):
                    new.add(entry.path, entry.mode, entry.sha)
            self._trees[sha] = new.id
            if new.id != sha:
                self._new[new.id] = new
        return self._trees[sha]

    def _has_entries(self, sha: ObjectID) -> bool:
        found = self._new[sha] if sha in self._new else self._git[sha]
        return isinstance(found, Tree) and len(found) > 0

    def _is_doomed(self, found: ShaFile) -> bool:
        pointer = Pointer.decode(found.data) if isinstance(found, Blob) else None
        return pointer is not None and pointer.sha256 in self._doomed
