"""Access over HTTP: asking for it, deciding about it, and checking what a token allows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from hubtune.localhub.access import AccessList, AccessRequest, Status
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.paging import offset_page
from hubtune.localhub.errors import ApiError
from hubtune.localhub.history import format_date
from hubtune.localhub.repos import HubRepo

_LONGEST_REASON = 200
_LONGEST_ANSWERS = 64 * 1024


def auth_check(call: Call) -> Response:
    """GET /api/T/{id}/auth-check: may the user read the files?"""
    call.gated(call.readable())
    return PlainTextResponse("OK")


def auth_check_write(call: Call) -> Response:
    """GET /api/T/{id}/auth-check/write."""
    call.writable()
    return PlainTextResponse("OK")


def ask(call: Call) -> Response:
    """POST /{prefix}{id}/ask-access, with the answers to the card's questions as a form or JSON."""
    repo = call.readable()
    user = call.signed_in()
    if not repo.settings.gated:
        raise _not_gated(repo)
    if len(call.body) > _LONGEST_ANSWERS:
        raise ApiError(413, f"The answers are longer than {_LONGEST_ANSWERS >> 10} KiB.")
    with call.hub.repos.lock(repo):
        requests = AccessList(repo.path)
        status: Status = "accepted" if repo.settings.gated == "auto" else "pending"
        found = requests.of(user.name)
        # A request that was left pending is asked again once the gate opens by itself; a rejection stands.
        if found is None or (found.status == "pending" and status == "accepted"):
            requests.put(AccessRequest.new(user.name, status, fields=_answers(call)))
    return RedirectResponse(call.url(repo.id.url_path), status_code=303)


def listed(call: Call) -> Response:
    """GET /api/T/{id}/user-access-request/{status}."""
    repo = call.writable()
    rows = [_row(call, item) for item in AccessList(repo.path).all() if item.status == call.params["status"]]
    return offset_page(call, rows, default=1000, most=1000)


def handle(call: Call) -> Response:
    """POST /api/T/{id}/user-access-request/handle: moves a request to another list."""
    repo = _gated(call)
    body = call.json()
    status, reason = body.get("status"), body.get("rejectionReason")
    if status not in get_args(Status):
        raise ApiError(400, "* Invalid input * at status")
    is_reason = isinstance(reason, str) and status == "rejected" and len(reason) <= _LONGEST_REASON
    if reason is not None and not is_reason:
        raise ApiError(400, "* Invalid input * at rejectionReason")
    with call.hub.repos.lock(repo):
        requests = AccessList(repo.path)
        found = _named(call, requests, body)
        if found is None or found.status == status:
            raise ApiError(404, "No access request found matching your criteria")
        changes = {
            "status": status,
            "reviewed": None if status == "pending" else datetime.now(UTC),
            "rejection_reason": reason,
        }
        requests.put(found.model_copy(update=changes))
    return JSONResponse({})


def grant(call: Call) -> Response:
    """POST /api/T/{id}/user-access-request/grant: gives access to a user who may not have asked for it."""
    repo = _gated(call)
    name = call.json().get("user")
    user = call.hub.accounts.find(name) if isinstance(name, str) else None
    if user is None:
        raise ApiError(404, "User not found")
    with call.hub.repos.lock(repo):
        requests = AccessList(repo.path)
        found = requests.of(user.name)
        if found is not None and found.status == "accepted":
            raise ApiError(400, f"{user.name} already has access to {repo.id}")
        requests.put(AccessRequest.new(user.name, "accepted", granted_by=call.signed_in().name))
    return JSONResponse({})


def cancel(call: Call) -> Response:
    """POST /api/T/{id}/user-access-request/cancel: the user takes their own pending request back."""
    repo = call.readable()
    user = call.signed_in()
    with call.hub.repos.lock(repo):
        requests = AccessList(repo.path)
        found = requests.of(user.name)
        if found is None or found.status != "pending":
            raise ApiError(404, "No pending access request found for this repo and this user")
        requests.remove(found)
    return JSONResponse({"ok": True})


def _gated(call: Call) -> HubRepo:
    repo = call.writable()
    if not repo.settings.gated:
        raise _not_gated(repo)
    return repo


def _not_gated(repo: HubRepo) -> ApiError:
    return ApiError(400, f"{repo.id.type} {repo.id} is not gated", code="RepoNotGated")


def _named(call: Call, requests: AccessList, body: Mapping[str, object]) -> AccessRequest | None:
    name, request_id = body.get("user"), body.get("requestId")
    if (name is None) == (request_id is None):
        raise ApiError(400, "* Either userId or user must be provided, but not both")
    if request_id is not None:
        return next((item for item in requests.all() if item.id == request_id), None)
    user = call.hub.accounts.find(str(name))
    if user is None:
        raise ApiError(404, "User not found")
    return requests.of(user.name)


def _answers(call: Call) -> dict[str, str]:
    if call.headers.get("content-type", "").startswith("application/json"):
        return {key: str(value) for key, value in call.json().items()}
    return dict(parse_qsl(call.body.decode(errors="replace")))


def _row(call: Call, request: AccessRequest) -> dict[str, object]:
    row: dict[str, object] = {
        "requestId": request.id,
        "user": _user(call, request.user),
        "timestamp": format_date(request.timestamp),
        "status": request.status,
    }
    if request.reviewed is not None:
        row["reviewedAt"] = format_date(request.reviewed)
    if request.granted_by is not None:
        row["grantedBy"] = _user(call, request.granted_by)
    if request.fields:
        row["fields"] = request.fields
    return row


def _user(call: Call, name: str) -> dict[str, object]:
    user = call.hub.accounts.find(name)
    fullname = user.fullname if user and user.fullname else name
    return {"_id": name, "user": name, "fullname": fullname, "type": "user", "isPro": False, "avatarUrl": ""}
