"""The pages of commits, branches and tags."""

from itertools import islice
from typing import cast

from dulwich.diff_tree import tree_changes
from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo

from hubtune.localhub.api.call import Call
from hubtune.localhub.history import walk
from hubtune.localhub.trees import tree_of
from hubtune.localhub.web.places import commit_line, place, ref_lines
from hubtune.records.views import Change, ChangeKind, CommitView, HistoryView, RefsView

_PAGE = 50
_FAR = 10**6
_MOST_CHANGES = 1000
_KINDS: dict[str, ChangeKind] = {"add": "added", "delete": "removed"}


def commits(call: Call) -> HistoryView:
    """GET /[datasets/|spaces/]{id}/commits/{rev}."""
    with call.open() as (repo, git, head):
        history = list(walk(git, head))
        pages = -(-len(history) // _PAGE)
        page = min(call.number("p", 0, least=0, most=_FAR), pages - 1)
        rows = tuple(commit_line(commit) for commit in history[page * _PAGE : (page + 1) * _PAGE])
        return HistoryView(place(call, repo, head), rows, len(history), page, pages)


def one_commit(call: Call) -> CommitView:
    """GET /[datasets/|spaces/]{id}/commit/{sha}: against its first parent."""
    with call.open() as (repo, git, sha):
        commit = cast("Commit", git[sha])
        changes = list(_changes(git, commit))
        return CommitView(
            place=place(call, repo, sha),
            commit=commit_line(commit),
            parents=tuple(parent.decode() for parent in commit.parents),
            changes=tuple(islice(changes, _MOST_CHANGES)),
            total=len(changes),
        )


def refs(call: Call) -> RefsView:
    """GET /[datasets/|spaces/]{id}/refs/all."""
    with call.open() as (repo, git, head):
        return RefsView(
            place=place(call, repo, head),
            branches=ref_lines(git, "refs/heads"),
            tags=ref_lines(git, "refs/tags"),
            pulls=ref_lines(git, "refs/pr"),
        )


def _changes(git: Repo, commit: Commit) -> list[Change]:
    parent: ObjectID | None = tree_of(git, commit.parents[0]) if commit.parents else None
    changes = []
    for change in tree_changes(git.object_store, parent, commit.tree):
        entry = change.new or change.old
        if entry is not None and entry.path is not None:
            changes.append(Change(entry.path.decode(errors="replace"), _KINDS.get(change.type, "changed")))
    return changes
