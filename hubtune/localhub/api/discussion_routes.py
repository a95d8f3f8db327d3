"""HTTP routes of discussions and pull requests: listing, opening, showing, commenting, changing and merging them."""

import html
from collections.abc import Mapping

from dulwich.refs import Ref
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub import discussions
from hubtune.localhub.api.call import Call
from hubtune.localhub.api_errors import ApiError, StaleParentError, check_length, forbidden
from hubtune.localhub.commits import swap_ref
from hubtune.localhub.refs import list_refs
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import MAIN, read_ref
from hubtune.localhub.trees import format_date

_PAGE = 50
_SHORTEST, _LONGEST = 3, 200
_STATUSES: Mapping[str, tuple[discussions.Status, ...]] = {"open": ("open", "draft"), "closed": ("closed", "merged")}


def listed(call: Call) -> Response:
    """GET /api/T/{id}/discussions, the newest first, a page at a time."""
    repo = call.gated(call.readable())
    every = discussions.DiscussionStore(repo.path).all()
    chosen = [item for item in every if _is_asked_for(call, item)]
    start = call.number("p", 0, least=0, most=10**6) * _PAGE
    return JSONResponse(
        {
            "discussions": [overview(repo, item) for item in chosen[start : start + _PAGE]],
            "count": len(chosen),
            "start": start,
            "numClosedDiscussions": sum(item.status in _STATUSES["closed"] for item in every),
        }
    )


def create(call: Call) -> Response:
    """POST /api/T/{id}/discussions: a discussion, or a pull request that is a draft until it is opened."""
    repo = call.discussable()
    body = call.json()
    title = read_title(body)
    text = read_comment(body, "description")
    author = call.signed_in().name
    with call.hub.repos.lock(repo), repo.git() as git:
        store = discussions.DiscussionStore(repo.path)
        wants_pull_request = body.get("pullRequest") is True
        new = discussions.Discussion(
            num=next_number(git, store),
            title=title,
            author=author,
            status="draft" if wants_pull_request else "open",
            pull_request=wants_pull_request,
            events=(discussions.comment_event(author, text),) if text else (),
        )
        if wants_pull_request:
            head = read_ref(git, MAIN)
            if head is not None and not swap_ref(git, Ref(new.ref.encode()), None, head):
                raise StaleParentError
        store.save(new)
    return JSONResponse({"num": new.num, "url": call.url(page_path(repo, new)), "pullRequest": new.pull_request})


def details(call: Call) -> Response:
    """GET /api/T/{id}/discussions/{num}, with the diff of a pull request if `diff` is asked for."""
    repo = call.gated(call.readable())
    found = find_discussion(call, repo)
    body = overview(repo, found) | {"events": [event_row(event) for event in found.events]}
    if found.pull_request:
        with repo.git() as git:
            body |= _pull_request(call, git, found)
    return JSONResponse(body)


def find_discussion(call: Call, repo: HubRepo) -> discussions.Discussion:
    """Returns the discussion of the path.

    Raises:
        ApiError: 404 if there is none.
    """
    found = discussions.DiscussionStore(repo.path).find(int(call.params["num"]))
    if found is None:
        raise ApiError(404, "Discussion not found")
    return found


def next_number(git: Repo, store: discussions.DiscussionStore) -> int:
    """Returns the number of the next discussion; not that of a branch which a crash left without a record."""
    branches = [int(ref.name) for ref in list_refs(git, "refs/pr") if ref.name.isdecimal()]
    return max(store.next_number(), *(number + 1 for number in branches), 1)


def read_title(body: Mapping[str, object]) -> str:
    """Returns the title in a request.

    Raises:
        ApiError: 400 if it is missing, or longer or shorter than the Hub allows.
    """
    title = str(body.get("title") or "").strip()
    if not _SHORTEST <= len(title) <= _LONGEST:
        raise ApiError(400, f'"title" length must be between {_SHORTEST} and {_LONGEST} characters')
    return title


def read_comment(body: Mapping[str, object], field: str) -> str:
    """Returns the text of a comment in a request; empty if there is none.

    Raises:
        ApiError: 400 if it is longer than the Hub allows, as each look at a discussion reads all of it.
    """
    return check_length(str(body.get(field) or "").strip(), field)


def page_path(repo: HubRepo, discussion: discussions.Discussion) -> str:
    """Returns the path of a discussion's page."""
    return f"{repo.id.url_path}/discussions/{discussion.num}"


def overview(repo: HubRepo, discussion: discussions.Discussion) -> dict[str, object]:
    """Returns a discussion as lists show it."""
    return {
        "num": discussion.num,
        "title": discussion.title,
        "status": discussion.status,
        "author": _person(discussion.author),
        "createdAt": format_date(discussion.created),
        "isPullRequest": discussion.pull_request,
        "pinned": False,
        "locked": False,
        "numComments": sum(event.type == "comment" for event in discussion.events),
        "repo": {"type": repo.id.type.value, "name": str(repo.id)},
        "repoOwner": {"name": repo.id.namespace},
    }


def event_row(event: discussions.Event) -> dict[str, object]:
    """Returns an event as clients read it."""
    return {
        "id": event.id,
        "type": event.type,
        "author": _person(event.author),
        "createdAt": format_date(event.created),
        "data": _comment(event) if event.type == "comment" else event.data,
    }


def _comment(event: discussions.Event) -> dict[str, object]:
    comment = discussions.Comment.model_validate(event.data)
    latest = {
        "raw": comment.text,
        "html": f"<p>{html.escape(comment.text)}</p>",
        "updatedAt": format_date(comment.updated),
        "author": _person(comment.updated_by),
    }
    history = [{"raw": text, "html": f"<p>{html.escape(text)}</p>"} for text in (*comment.history, comment.text)]
    return {
        "edited": bool(comment.history),
        "hidden": comment.hidden,
        "hiddenBy": comment.updated_by if comment.hidden else None,
        "latest": latest,
        "numEdits": len(comment.history),
        "history": history if comment.history else [],
    }


def _pull_request(call: Call, git: Repo, record: discussions.Discussion) -> dict[str, object]:
    changes: dict[str, object] = {"base": record.base}
    if record.merge_commit is not None:
        changes["mergeCommitId"] = record.merge_commit
    is_open = record.status in _STATUSES["open"]
    body: dict[str, object] = {"changes": changes, "filesWithConflicts": is_open}
    try:
        pull = discussions.PullRequest(git, record)
    except ApiError:
        # The target branch was deleted: it cannot be merged, and clients read `true` as conflicts without a list.
        return body | {"diff": ""} if call.flag("diff") else body
    body["filesWithConflicts"] = pull.conflicts() if is_open else []
    if call.flag("diff"):
        body["diff"] = pull.diff()
    return body


def _is_asked_for(call: Call, item: discussions.Discussion) -> bool:
    status, type_, author = (call.query.get(name) or "all" for name in ("status", "type", "author"))
    return (
        (status == "all" or item.status in _STATUSES.get(status, (status,)))
        and (type_ == "all" or item.pull_request == (type_ == "pull_request"))
        and author.casefold() in {"all", item.author.casefold()}
    )


def _person(name: str) -> dict[str, object]:
    return {"name": name, "fullname": name, "type": "user", "isPro": False, "avatarUrl": ""}


def comment(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/comment."""
    repo = call.discussable()
    text = _text(call, "comment")
    with call.hub.repos.lock(repo):
        found = find_discussion(call, repo)
        found.check_room()
        new = discussions.comment_event(call.signed_in().name, text)
        _save(repo, found.with_event(new))
    return JSONResponse({"newMessage": event_row(new)})


def edit(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/comment/{comment}/edit, for the comment's author."""
    repo = call.discussable()
    text = _text(call, "content")
    user = call.signed_in()
    with call.hub.repos.lock(repo):
        found = find_discussion(call, repo)
        old = _own_comment(call, found)
        if old.author != user.name or old.data.get("hidden"):
            raise forbidden()
        new = discussions.edit_comment(old, user.name, text)
        _save(repo, found.with_edited(new))
    return JSONResponse({"updatedComment": event_row(new)})


def hide(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/comment/{comment}/hide: takes the text away for good."""
    repo = call.discussable()
    user = call.signed_in()
    with call.hub.repos.lock(repo):
        found = find_discussion(call, repo)
        old = _own_comment(call, found)
        if old.author != user.name and not user.may_write(repo.id):
            raise forbidden()
        new = discussions.hide_comment(old, user.name)
        _save(repo, found.with_edited(new))
    return JSONResponse({"updatedComment": event_row(new)})


def rename(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/title."""
    repo = call.discussable()
    title = read_title(call.json())
    with call.hub.repos.lock(repo):
        found = _own(call, repo)
        found.check_room()
        new = discussions.event("title-change", call.signed_in().name, {"from": found.title, "to": title})
        _save(repo, found.with_event(new, title=title))
    return JSONResponse({"newTitle": event_row(new)})


def change_status(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/status: `open` or `closed`."""
    repo = call.discussable()
    body = call.json()
    status, text = body.get("status"), read_comment(body, "comment")
    if not isinstance(status, str) or status not in {"open", "closed"}:
        raise ApiError(400, '"status" must be one of [open, closed]')
    author = call.signed_in().name
    with call.hub.repos.lock(repo):
        found = _own(call, repo)
        found.check_room()
        if found.status in {"merged", status}:
            raise ApiError(409, f"The {_kind(found)} is already {found.status}.")
        if text:
            found = found.with_event(discussions.comment_event(author, text))
        new = discussions.event("status-change", author, {"status": status})
        _save(repo, found.with_event(new, status=status))
    return JSONResponse({"newStatus": event_row(new)})


def merge(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/merge, for those who may write to the repository."""
    repo = call.writable()
    user = call.signed_in()
    text = read_comment(call.json(), "comment")
    with call.hub.repos.lock(repo), repo.git() as git:
        found = find_discussion(call, repo)
        if not found.pull_request:
            raise ApiError(400, "This discussion is not a pull request.")
        if found.status != "open":
            hint = " Change its status to open first." if found.status == "draft" else ""
            raise ApiError(409, f"A pull request that is {found.status} cannot be merged.{hint}")
        commit = discussions.PullRequest(git, found).merge(user.name, call.hub.large_files_of(repo)).decode()
        if text:
            found = found.with_event(discussions.comment_event(user.name, text))
        merged = discussions.event("status-change", user.name, {"status": "merged"})
        _save(repo, found.with_event(merged, status="merged", merge_commit=commit))
    return JSONResponse({"success": True, "commitOid": commit, "newStatus": event_row(merged)})


def _own(call: Call, repo: HubRepo) -> discussions.Discussion:
    found = find_discussion(call, repo)
    user = call.signed_in()
    if found.author != user.name and not user.may_write(repo.id):
        raise forbidden()
    return found


def _own_comment(call: Call, discussion: discussions.Discussion) -> discussions.Event:
    found = discussion.comment(call.params["comment"])
    if found is None:
        raise ApiError(404, "Comment not found")
    return found


def _text(call: Call, field: str) -> str:
    text = read_comment(call.json(), field)
    if not text:
        raise ApiError(400, f'"{field}" is not allowed to be empty')
    return text


def _kind(discussion: discussions.Discussion) -> str:
    return "pull request" if discussion.pull_request else "discussion"


def _save(repo: HubRepo, discussion: discussions.Discussion) -> None:
    discussions.DiscussionStore(repo.path).save(discussion)
