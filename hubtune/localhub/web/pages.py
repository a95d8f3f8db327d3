"""The pages for browsers: their addresses and headers, those that list something, and errors as pages.

Lists are those of repositories, commits, branches and tags, and the comments of a discussion.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import assert_never, cast

from dulwich.diff_tree import tree_changes
from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo
from starlette.datastructures import Headers
from starlette.responses import Response

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.discussion_routes import find_discussion
from hubtune.localhub.api.routes import Handler, Route
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.discussions import Comment, Event
from hubtune.localhub.ids import RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import MAIN, read_ref
from hubtune.localhub.trees import tree_of, walk
from hubtune.localhub.web import repo_pages
from hubtune.localhub.web.repo_pages import commit_line, kind_of, place, read_commit, read_readme, ref_lines, repo_name
from hubtune.records import views

_PAGE = 50
_LAST_PAGE = 10**6
_MOST_CHANGES = 1000
_KINDS: dict[str, views.ChangeKind] = {"add": "added", "delete": "removed"}
_LAST_PAGE = 10**6
_LIST_PAGE = 30
_MOST_EVENTS = 500
_OF_REPO = r"/(?:(?P<type>datasets|spaces)/)?(?P<id>(?!(?:api|-)/)[^/]+(?:/[^/]+)?)"
_REV = r"(?P<rev>[^/]+)"
_NO_BODY = 0
_BY_REFUSAL = {
    "RepoNotFound": (404, "There is no such repository here, or it is private."),
    "GatedRepo": (
        403,
        "The files of this repository are for readers who were granted access, and pages know no token.",
    ),
}


def commits(call: Call) -> views.HistoryView:
    """GET /[datasets/|spaces/]{id}/commits/{rev}."""
    with call.open() as (repo, git, head):
        history = list(walk(git, head))
        pages = -(-len(history) // _PAGE)
        page = min(call.number("p", 0, least=0, most=_LAST_PAGE), pages - 1)
        rows = tuple(commit_line(commit) for commit in history[page * _PAGE : (page + 1) * _PAGE])
        return views.HistoryView(place(call, repo, head), rows, len(history), page, pages)


def one_commit(call: Call) -> views.CommitView:
    """GET /[datasets/|spaces/]{id}/commit/{sha}: against its first parent."""
    with call.open() as (repo, git, sha):
        commit = cast("Commit", git[sha])
        changes = list(_changes(git, commit))
        return views.CommitView(
            place=place(call, repo, sha),
            commit=commit_line(commit),
            parents=tuple(parent.decode() for parent in commit.parents),
            changes=tuple(islice(changes, _MOST_CHANGES)),
            total=len(changes),
        )


def refs(call: Call) -> views.RefsView:
    """GET /[datasets/|spaces/]{id}/refs/all."""
    with call.open() as (repo, git, head):
        return views.RefsView(
            place=place(call, repo, head),
            branches=ref_lines(git, "refs/heads"),
            tags=ref_lines(git, "refs/tags"),
            pulls=ref_lines(git, "refs/pr"),
        )


def _changes(git: Repo, commit: Commit) -> list[views.ChangedFile]:
    parent: ObjectID | None = tree_of(git, commit.parents[0]) if commit.parents else None
    changes = []
    for change in tree_changes(git.object_store, parent, commit.tree):
        entry = change.new or change.old
        if entry is not None and entry.path is not None:
            changes.append(views.ChangedFile(entry.path.decode(errors="replace"), _KINDS.get(change.type, "changed")))
    return changes


def listed(call: Call) -> views.HomeView:
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
    return views.HomeView(
        kind=kind_of(types[0]) if asked else None,
        query=query,
        rows=tuple(_row(call, repo, head) for head, repo in found[page * _LIST_PAGE : (page + 1) * _LIST_PAGE]),
        total=len(found),
        page=page,
        pages=pages,
    )


def _visible(call: Call, type_: RepoType) -> Iterator[tuple[HubRepo, views.CommitRow]]:
    for repo in call.hub.repos.list(type_):
        if may_read(call.user, repo):
            with repo.git() as git:
                head = read_ref(git, MAIN)
                if head is not None:
                    yield repo, read_commit(git, head)


def _row(call: Call, repo: HubRepo, head: views.CommitRow) -> views.RepoRow:
    with repo.git() as git:
        card = read_readme(call, git, ObjectID(head.sha.encode()))
    return views.RepoRow(
        repo=repo_name(repo.id),
        updated=head.date,
        private=repo.settings.private,
        gated=bool(repo.settings.gated),
        facts=card.facts if card else views.CardFacts(),
    )


def discussion(call: Call) -> views.DiscussionView:
    """GET /[datasets/|spaces/]{id}/discussions/{num}; of a gated repository only to those who may read it."""
    with call.open(call.gated(call.readable())) as (repo, _, head):
        found = find_discussion(call, repo)
        return views.DiscussionView(
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


def _line(event: Event) -> views.DiscussionEvent:
    what, text = _told(event)
    return views.DiscussionEvent(event.author, event.created, what, text)


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


class Pages:
    """The pages of one Hub.

    Args:
        renderer: Makes them of what they show.
    """

    def __init__(self, renderer: views.PageRenderer) -> None:
        self._renderer = renderer
        self._assets = {asset.name: asset for asset in renderer.assets}
        self.routes: tuple[Route, ...] = (
            self._route(r"/(?:(?P<type>models|datasets|spaces))?", listed),
            self._route(r"/-/(?P<asset>[a-z.]+)", self._asset),
            self._route(_OF_REPO, repo_pages.first_page),
            self._route(rf"{_OF_REPO}/tree/{_REV}(?:/(?P<path>.*))?", repo_pages.folder),
            self._route(rf"{_OF_REPO}/blob/{_REV}/(?P<path>.+)", repo_pages.file),
            self._route(rf"{_OF_REPO}/commits(?:/{_REV})?", commits),
            self._route(rf"{_OF_REPO}/commit/(?P<rev>[0-9a-f]{{7,40}})", one_commit),
            self._route(rf"{_OF_REPO}/refs/all", refs),
            self._route(rf"{_OF_REPO}/discussions/(?P<num>\d{{1,9}})", discussion),
        )

    def failure(self, error: ApiError, headers: Mapping[str, str]) -> Response:
        """Returns an error as a page, with the headers of the answer that a client would get."""
        status, message = _BY_REFUSAL.get(error.code or "", (error.status, error.message))
        # Nobody is asked to sign in if the page says something else.
        own = {"content-type", "content-length"} | (set() if status == 401 else {"www-authenticate"})
        kept = {key: value for key, value in headers.items() if key not in own}
        view = views.ErrorView(status, message.encode(errors="replace").decode())
        page = page_response(self._renderer, view, status)
        page.headers.update(kept)
        return page

    def _route(self, pattern: str, show: Callable[[Call], views.View | Response]) -> Route:
        return Route(("GET", "HEAD"), re.compile(pattern), self._handler(show), _NO_BODY)

    def _handler(self, show: Callable[[Call], views.View | Response]) -> Handler:
        def answer(call: Call) -> Response:
            shown = show(call)
            return shown if isinstance(shown, Response) else page_response(self._renderer, shown)

        return answer

    def _asset(self, call: Call) -> Response:
        asset = self._assets.get(call.params["asset"])
        if asset is None:
            raise ApiError(404, "There is no such file.")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return Response(asset.content, headers=headers, media_type=asset.media_type)


def page_response(renderer: views.PageRenderer, view: views.View, status: int = 200) -> Response:
    """Returns a page as an answer, under its policy."""
    headers = {
        "Content-Security-Policy": renderer.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response(renderer.render(view), status, headers, "text/html")


def asks_for_page(method: str, raw_path: str, headers: Headers) -> bool:
    """Says whether a browser asks for something to show, where a client would want JSON."""
    return method in {"GET", "HEAD"} and not raw_path.startswith("/api/") and "text/html" in headers.get("accept", "")
