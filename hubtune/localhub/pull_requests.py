"""What a pull request would change, what stands in its way, and merging it.

As on the Hub, a merge puts one commit on the target branch that holds all of the pull request's changes. Files are
merged as wholes: where both sides changed the same file differently, somebody must decide.
"""

from collections.abc import Iterator, Mapping
from io import BytesIO

from dulwich.graph import find_merge_base
from dulwich.objects import Commit, ObjectID
from dulwich.patch import write_tree_diff
from dulwich.refs import Ref
from dulwich.repo import Repo

from hubtune.localhub.commits import identity, move_branch, new_commit
from hubtune.localhub.discussions import Discussion
from hubtune.localhub.errors import ApiError, revision_not_found
from hubtune.localhub.history import title, walk
from hubtune.localhub.ledger import RepoLargeFiles
from hubtune.localhub.revisions import read_ref
from hubtune.localhub.tree_edits import TreeEdit
from hubtune.localhub.trees import tree_of

_Files = Mapping[bytes, tuple[int, ObjectID]]


class PullRequest:
    """The git side of a pull request.

    Args:
        git: The repository.
        discussion: The pull request's record.

    Raises:
        ApiError: RevisionNotFound if one of its branches is gone.
    """

    def __init__(self, git: Repo, discussion: Discussion) -> None:
        self._git = git
        self._record = discussion
        self._base_ref = Ref(discussion.base.encode())
        merged = discussion.merge_commit
        # What was merged is told as of then, whatever became of the branch.
        self.base = ObjectID(merged.encode()) if merged else _head(git, discussion.base)
        self.head = _head(git, discussion.ref)
        forks = find_merge_base(git, [self.base, self.head])
        self._fork = forks[0] if forks else self._last_common_state()

    def diff(self) -> str:
        """Returns the changes since the pull request left its target branch, as git prints them."""
        buffer = BytesIO()
        before = tree_of(self._git, self._fork) if self._fork else None
        write_tree_diff(buffer, self._git.object_store, before, tree_of(self._git, self.head))
        return buffer.getvalue().decode(errors="replace")

    def commits(self) -> list[Commit]:
        """Returns the pull request's own commits, the oldest first."""
        own: list[Commit] = []
        for commit in walk(self._git, self.head):
            if commit.id == self._fork:
                break
            own.append(commit)
        return own[::-1]

    def conflicts(self) -> list[str]:
        """Returns the files that both sides changed, each in its own way, and those that stand where a folder would.

        Where the sides have nothing in common, nobody knows what either changed: all that differs is returned.
        """
        ours, theirs, before = self._sides()
        paths = ours.keys() | theirs.keys() | before.keys()
        if self._fork is None:
            found = {path for path in paths if ours.get(path) != theirs.get(path)}
        else:
            found = {
                path
                for path in paths
                if before.get(path) not in (ours.get(path), theirs.get(path)) and ours.get(path) != theirs.get(path)
            }
            merged = {path for path in paths if path in (ours if theirs.get(path) == before.get(path) else theirs)}
            found |= {folder for path in merged for folder in _folders(path) if folder in merged}
        return [path.decode(errors="replace") for path in sorted(found)]

    def merge(self, author: str, large_files: RepoLargeFiles) -> ObjectID:
        """Puts the changes on the target branch; the caller holds the repository's lock.

        Args:
            author: The user who merges.
            large_files: Those of the repository.

        Returns:
            The new commit; the branch's head where it held all the changes already.

        Raises:
            ApiError: 409 if there are conflicts.
        """
        conflicts = self.conflicts()
        if conflicts:
            raise ApiError(409, f"Cannot merge: there are conflicts in {', '.join(conflicts)}")
        _, theirs, before = self._sides()
        edit = TreeEdit(self._git, self.base, large_files)
        for path in theirs.keys() | before.keys():
            if theirs.get(path) != before.get(path):
                edit.replace(path, theirs.get(path))
        tree, objects = edit.build()
        if tree == tree_of(self._git, self.base):
            return self.base
        new = new_commit(tree, self.base, self._message(), author)
        move_branch(self._git, self._base_ref, self.base, new, objects)
        return new.id

    def _last_common_state(self) -> ObjectID | None:
        # A history that was squashed shares no commit any more, but the files of the squashed one.
        states = {commit.tree for commit in walk(self._git, self.base)}
        return next((commit.id for commit in walk(self._git, self.head) if commit.tree in states), None)

    def _sides(self) -> tuple[_Files, _Files, _Files]:
        return (
            _files(self._git, self.base),
            _files(self._git, self.head),
            _files(self._git, self._fork) if self._fork else {},
        )

    def _message(self) -> str:
        lines = [f"- {title(commit)} ({commit.id.decode()})" for commit in self.commits()]
        by = f"Co-authored-by: {identity(self._record.author).decode()}"
        return "\n".join([f"{self._record.title} (#{self._record.num})", "", *lines, "", "", by])


def _head(git: Repo, ref: str) -> ObjectID:
    head = read_ref(git, Ref(ref.encode()))
    if head is None:
        raise revision_not_found(ref)
    return head


def _folders(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _files(git: Repo, commit: ObjectID) -> _Files:
    entries = git.object_store.iter_tree_contents(tree_of(git, commit))
    return {
        entry.path: (entry.mode, entry.sha)
        for entry in entries
        if entry.path is not None and entry.mode is not None and entry.sha is not None
    }
