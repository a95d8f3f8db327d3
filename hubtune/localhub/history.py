"""The commits behind a revision, and which of them last changed a path."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo


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
    wanted = {path.encode(): path for path in paths}
    found: dict[str, Commit] = {}
    for commit in islice(walk(git, head), most):
        if not wanted:
            break
        here = _contents(git, commit)
        parents = [_contents(git, parent) for parent in _parents(git, commit)]
        for raw in list(wanted):
            if raw in here and all(here[raw] != parent.get(raw) for parent in parents):
                found[wanted.pop(raw)] = commit
    return found


def _message(commit: Commit) -> str:
    message: bytes = commit.message
    return message.decode(errors="replace")


def _parents(git: Repo, commit: Commit) -> Iterator[Commit]:
    for sha in commit.parents:
        parent = git[sha]
        if isinstance(parent, Commit):
            yield parent


def _contents(git: Repo, commit: Commit) -> dict[bytes, ObjectID]:
    entries = git.object_store.iter_tree_contents(commit.tree, include_trees=True)
    return {entry.path: entry.sha for entry in entries if entry.path is not None and entry.sha is not None}
