"""The commits behind a revision, and which of them last changed a path."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from stat import S_ISDIR

from dulwich.lru_cache import LRUCache
from dulwich.objects import Commit, ObjectID, Tree
from dulwich.repo import Repo

_FOLDERS_KEPT = 200


def walk(git: Repo, head: ObjectID) -> Iterator[Commit]:
    """Yields a commit and its ancestors, the newest first."""
    for entry in git.get_walker(include=[head]):
        yield entry.commit


def commit_date(commit: Commit) -> str:
    """Returns when a commit was made, in the form that clients parse."""
    return format_date(datetime.fromtimestamp(commit.commit_time, UTC))


def format_date(when: datetime) -> str:
    """Returns a UTC time as the Hub writes it."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def title(commit: Commit) -> str:
    """Returns the first line of a commit's message."""
    return _message(commit).partition("\n")[0]


def description(commit: Commit) -> str:
    """Returns a commit's message without its first line."""
    return _message(commit).partition("\n")[2].strip()


def author_name(commit: Commit) -> str:
    """Returns the name of a commit's author."""
    author: bytes = commit.author
    return author.decode(errors="replace").partition(" <")[0]


def last_changes(git: Repo, head: ObjectID, paths: Iterable[str], most: int | None = None) -> dict[str, Commit]:
    """Returns, for each path, the newest commit in which it differs from all parents.

    Args:
        git: The repository.
        head: Where to start.
        paths: What to look for.
        most: How many commits to look at, the newest first; paths that none of them changed are left out.
    """
    wanted = _Wanted()
    for path in paths:
        wanted.add(path)
    found: dict[str, Commit] = {}
    # What a commit's parent holds is what the next commit of the walk holds.
    folders: LRUCache[ObjectID, Tree] = LRUCache(_FOLDERS_KEPT)
    for commit in islice(walk(git, head), most):
        if not wanted.inner:
            break
        parents = [parent.tree for parent in _parents(git, commit)]
        if commit.tree not in parents:
            found |= dict.fromkeys(_changed(git, folders, wanted, commit.tree, parents), commit)
    return found


@dataclass
class _Wanted:
    """A path whose last change is still to be found, and those below it."""

    path: str | None = None
    inner: dict[bytes, "_Wanted"] = field(default_factory=dict)

    def add(self, path: str) -> None:
        at = self
        for part in path.encode().split(b"/"):
            at = at.inner.setdefault(part, _Wanted())
        at.path = path


def _changed(
    git: Repo, folders: LRUCache[ObjectID, Tree], wanted: _Wanted, here: ObjectID, before: list[ObjectID]
) -> Iterator[str]:
    """Takes out of `wanted`, and yields, what differs from all the folders of before; equal folders are not read."""
    folder = _folder(git, folders, here)
    others = [_folder(git, folders, sha) for sha in before]
    for name, item in list(wanted.inner.items()):
        mode, sha = _entry(folder, name)
        olds = [_entry(other, name) for other in others]
        if sha is None or sha in (old for _, old in olds):
            continue
        if item.path is not None:
            yield item.path
            item.path = None
        if item.inner and S_ISDIR(mode):
            yield from _changed(git, folders, item, sha, [old for kind, old in olds if old and S_ISDIR(kind)])
        if not item.inner:
            del wanted.inner[name]


def _folder(git: Repo, folders: LRUCache[ObjectID, Tree], sha: ObjectID) -> Tree:
    if sha not in folders:
        found = git[sha]
        folders[sha] = found if isinstance(found, Tree) else Tree()
    return folders[sha]


def _entry(folder: Tree, name: bytes) -> tuple[int, ObjectID | None]:
    if name not in folder:
        return 0, None
    return folder[name]


def _message(commit: Commit) -> str:
    message: bytes = commit.message
    return message.decode(errors="replace")


def _parents(git: Repo, commit: Commit) -> Iterator[Commit]:
    for sha in commit.parents:
        parent = git[sha]
        if isinstance(parent, Commit):
            yield parent
