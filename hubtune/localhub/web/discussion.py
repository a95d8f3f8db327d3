"""The page of a discussion or pull request, to which answers to clients link; comments are shown as they were typed."""

from typing import assert_never

from hubtune.localhub.api.call import Call
from hubtune.localhub.api.discussions import find_discussion
from hubtune.localhub.discussions import Comment, Event
from hubtune.localhub.web.places import place
from hubtune.records.views import DiscussionEvent, DiscussionView

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
