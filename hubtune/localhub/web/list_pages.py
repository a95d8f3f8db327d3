"""Pages that list something: repositories, commits, branches and tags, and the comments of a discussion."""

from collections.abc import Iterator
from itertools import islice
from typing import assert_never, cast

from dulwich.diff_tree import tree_changes
from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.discussion_routes import find_discussion
from hubtune.localhub.discussions import Comment, Event
from hubtune.localhub.ids import RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import MAIN, read_ref
from hubtune.localhub.trees import tree_of, walk
from hubtune.localhub.web.repo_pages import commit_line, kind_of, place, read_commit, read_readme, ref_lines, repo_name
from hubtune.records.views import (
    CardFacts,
    ChangedFile,
    ChangeKind,
    CommitRow,
    CommitView,
    DiscussionEvent,
    DiscussionView,
    HistoryView,
    HomeView,
    RefsView,
    RepoRow,
)

_PAGE = 50
_LAST_PAGE = 10**6
_MOST_CHANGES = 1000
_KINDS: dict[str, ChangeKind] = {"add": "added", "delete": "removed"}


def commits(call: Call) -> HistoryView:
    """GET /[datasets/|spaces/]{id}/commits/{rev}."""
    with call.open() as (repo, git, head):
        history = list(walk(git, head))
        pages = -(-len(history) // _PAGE)
        page = min(call.number("p", 0, least=0, most=_LAST_PAGE), pages - 1)
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


def _changes(git: Repo, commit: Commit) -> list[ChangedFile]:
    parent: ObjectID | None = tree_of(git, commit.parents[0]) if commit.parents else None
    changes = []
    for change in tree_changes(git.object_store, parent, commit.tree):
        entry = change.new or change.old
        if entry is not None and entry.path is not None:
            changes.append(ChangedFile(entry.path.decode(errors="replace"), _KINDS.get(change.type, "changed")))
    return changes


_LAST_PAGE = 10**6


_LIST_PAGE = 30


def listed(call: Call) -> HomeView:
    """GET /, /models, /datasets and /spaces."""
    query = call.query.get("search", "").strip()[:200]
    asked = call.params.get("type")
    types = (RepoType.from_plural(asked),) if asked else (RepoType.MODEL, RepoType.DATASET)
    words = query.casefold().split()
    found = [
        (head, repo)
        for type_ in types
        for repo, head in _visible(call, type_)
        if all(word in str(repo.id).casefold() for word in words)
    ]
    found.sort(key=lambda item: (item[0].date, str(item[1].id)), reverse=True)
    pages = max(1, -(-len(found) // _LIST_PAGE))
    page = min(call.number("p", 0, least=0, most=_LAST_PAGE), pages - 1)
    return HomeView(
        kind=kind_of(types[0]) if asked else None,
        query=query,
        rows=tuple(_row(call, repo, head) for head, repo in found[page * _LIST_PAGE : (page + 1) * _LIST_PAGE]),
        total=len(found),
        page=page,
        pages=pages,
    )


def _visible(call: Call, type_: RepoType) -> Iterator[tuple[HubRepo, CommitRow]]:
    for repo in call.hub.repos.list(type_):
        if may_read(call.user, repo):
            with repo.git() as git:
                head = read_ref(git, MAIN)
                if head is not None:
                    yield repo, read_commit(git, head)


def _row(call: Call, repo: HubRepo, head: CommitRow) -> RepoRow:
    with repo.git() as git:
        card = read_readme(call, git, ObjectID(head.sha.encode()))
    return RepoRow(
        repo=repo_name(repo.id),
        updated=head.date,
        private=repo.settings.private,
        gated=bool(repo.settings.gated),
        facts=card.facts if card else CardFacts(),
    )


_MOST_EVENTS = 500


def discussion(call: Call) -> DiscussionView:
    """GET /[datasets/|spaces/]{id}/discussions/{num}; of a gated repository only to those who may read it."""
    with call.open(call.gated(call.readable())) as (repo, _, head):
        found = find_discussion(call, repo)
        return DiscussionView(
            place=place(call, repo, head),
            num=found.num,
            title=found.title,
            author=found.author,
            created=found.created,
            status=found.status,
            pull_request=found.pull_request,
            base=found.base.removeprefix("refs/heads/"),
            merge_commit=found.merge_commit,
            events=tuple(_line(event) for event in found.events[-_MOST_EVENTS:]),
            total=len(found.events),
        )


def _line(event: Event) -> DiscussionEvent:
    what, text = _told(event)
    return DiscussionEvent(event.author, event.created, what, text)


def _told(event: Event) -> tuple[str, str]:
    match event.type:
        case "comment":
            comment = Comment.model_validate(event.data)
            return ("edited a comment" if comment.history else "commented"), comment.text
        case "status-change":
            return f"changed the status to {event.data.get('status')}", ""
        case "title-change":
            return "changed the title", f"{event.data.get('from')} → {event.data.get('to')}"
        case "commit":
            return f"pushed {str(event.data.get('oid'))[:7]}", str(event.data.get("subject"))
        case _:
            assert_never(event.type)
