"""History as a whole: squashing a branch to one commit, taking large files out of every commit, copying a repository.

A rewrite stores the new commits first and moves each ref by compare-and-swap, as a commit does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from stat import S_ISDIR

from dulwich.objects import S_ISGITLINK, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.walk import ORDER_TOPO

from hubtune.localhub.commits import move_branch, new_commit, store_objects, swap_ref
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.revisions import peel
from hubtune.localhub.trees import list_entries, read_blob, root_of, tree_of, walk

_EMPTY = Tree().id
_KEPT = (b"refs/heads/", b"refs/tags/")


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
        self._verdicts: dict[ObjectID, bool] = {}
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
        # Parents first, whatever the clocks of those who made the commits said.
        entries = self._git.get_walker(include=[head], order=ORDER_TOPO, reverse=True)
        for commit in [entry.commit for entry in entries if entry.commit.id not in self._commits]:
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
            self._trees[sha] = self._without_doomed(sha)
        return self._trees[sha]

    def _without_doomed(self, sha: ObjectID) -> ObjectID:
        old = self._git[sha]
        entries = list(old.iteritems()) if isinstance(old, Tree) else []
        kept = [(name, mode, self._entry(mode, item)) for name, mode, item in entries]
        if all(new == item for (_, _, new), (_, _, item) in zip(kept, entries, strict=True)):
            return sha
        new = Tree()
        for name, mode, item in kept:
            if item is not None:
                new.add(name, mode, item)
        self._new[new.id] = new
        return new.id

    def _entry(self, mode: int, sha: ObjectID) -> ObjectID | None:
        if S_ISDIR(mode):
            inner = self._tree(sha)
            # Git keeps no empty folders.
            return None if inner == _EMPTY and inner != sha else inner
        # A submodule's commit lies in another repository.
        return None if not S_ISGITLINK(mode) and self._is_doomed(sha) else sha

    def _is_doomed(self, sha: ObjectID) -> bool:
        # Most files of a commit are those of the commit before.
        if sha not in self._verdicts:
            pointer = Pointer.decode(read_blob(self._git, sha.decode()))
            self._verdicts[sha] = pointer is not None and pointer.sha256 in self._doomed
        return self._verdicts[sha]


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


def copy_history(source: Repo, target: Repo) -> set[str]:
    """Copies branches and tags with all that they lead to; pull requests stay where they were discussed.

    Args:
        source: The repository to copy from, which nobody changes meanwhile.
        target: A repository without commits.

    Returns:
        The digests of the large files that the copied history refers to.
    """
    refs = {ref: sha for ref, sha in source.refs.as_dict().items() if ref.startswith(_KEPT)}

    def wanted(*_: object, **__: object) -> list[ObjectID]:
        return list(dict.fromkeys(refs.values()))

    source.fetch(target, determine_wants=wanted)
    for ref, sha in refs.items():
        target.refs[ref] = sha
    return {use.pointer.sha256 for use in large_file_uses(target)}
