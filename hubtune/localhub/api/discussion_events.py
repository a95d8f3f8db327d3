"""What users do in a discussion: comment, rename, open and close, merge."""

from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.api.discussions import event_row, find_discussion, read_comment, read_title
from hubtune.localhub.discussions import (
    Discussion,
    DiscussionStore,
    Event,
    comment_event,
    edit_comment,
    event,
    hide_comment,
)
from hubtune.localhub.errors import ApiError, forbidden
from hubtune.localhub.pull_requests import PullRequest
from hubtune.localhub.repos import HubRepo


def comment(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/comment."""
    repo = call.discussable()
    text = _text(call, "comment")
    with call.hub.repos.lock(repo):
        found = find_discussion(call, repo)
        found.check_room()
        new = comment_event(call.signed_in().name, text)
        _save(repo, found.with_event(new))
    return JSONResponse({"newMessage": event_row(new)})


def edit(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/comment/{comment}/edit, for the comment's author."""
    repo = call.discussable()
    text = _text(call, "content")
    user = call.signed_in()
    with call.hub.repos.lock(repo):
        found = find_discussion(call, repo)
        old = _comment(call, found)
        if old.author != user.name or old.data.get("hidden"):
            raise forbidden()
        new = edit_comment(old, user.name, text)
        _save(repo, found.with_edited(new))
    return JSONResponse({"updatedComment": event_row(new)})


def hide(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/comment/{comment}/hide: takes the text away for good."""
    repo = call.discussable()
    user = call.signed_in()
    with call.hub.repos.lock(repo):
        found = find_discussion(call, repo)
        old = _comment(call, found)
        if old.author != user.name and not user.may_write(repo.id):
            raise forbidden()
        new = hide_comment(old, user.name)
        _save(repo, found.with_edited(new))
    return JSONResponse({"updatedComment": event_row(new)})


def rename(call: Call) -> Response:
    """POST /api/T/{id}/discussions/{num}/title."""
    repo = call.discussable()
    title = read_title(call.json())
    with call.hub.repos.lock(repo):
        found = _own(call, repo)
        found.check_room()
        new = event("title-change", call.signed_in().name, {"from": found.title, "to": title})
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
            found = found.with_event(comment_event(author, text))
        new = event("status-change", author, {"status": status})
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
        commit = PullRequest(git, found).merge(user.name, call.hub.large_files_of(repo)).decode()
        if text:
            found = found.with_event(comment_event(user.name, text))
        merged = event("status-change", user.name, {"status": "merged"})
        _save(repo, found.with_event(merged, status="merged", merge_commit=commit))
    return JSONResponse({"success": True, "commitOid": commit, "newStatus": event_row(merged)})


def _own(call: Call, repo: HubRepo) -> Discussion:
    found = find_discussion(call, repo)
    user = call.signed_in()
    if found.author != user.name and not user.may_write(repo.id):
        raise forbidden()
    return found


def _comment(call: Call, discussion: Discussion) -> Event:
    found = discussion.comment(call.params["comment"])
    if found is None:
        raise ApiError(404, "Comment not found")
    return found


def _text(call: Call, field: str) -> str:
    text = read_comment(call.json(), field)
    if not text:
        raise ApiError(400, f'"{field}" is not allowed to be empty')
    return text


def _kind(discussion: Discussion) -> str:
    return "pull request" if discussion.pull_request else "discussion"


def _save(repo: HubRepo, discussion: Discussion) -> None:
    DiscussionStore(repo.path).save(discussion)
