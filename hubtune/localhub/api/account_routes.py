"""HTTP routes about people: users and organizations, the signed-in user, and access to gated repositories.

Nobody follows anybody or likes anything here. The check of a card's metadata, which belongs to no repository, is here
too.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from hubtune.localhub.accounts import AccessList, AccessRequest, Org, Status, User, may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.repo_routes import offset_page
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.ids import RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.trees import format_date
from hubtune.metadata.hub_rules import check_card

_MOST = 500
_ROLE_IN_ORG = {"write": "write", "read": "read", "pr": "contributor"}
_LONGEST_REASON = 200
_LONGEST_ANSWERS = 64 * 1024


def user(call: Call) -> Response:
    """GET /api/users/{name}/overview."""
    found = _user(call)
    facts = user_row(found) | _owned(call, found.name) | {"numLikes": 0, "numFollowing": 0, "numFollowers": 0}
    return JSONResponse(facts | {"orgs": [_org_row(org) for org in found.orgs]})


def organization(call: Call) -> Response:
    """GET /api/organizations/{name}/overview."""
    org, members = _organization(call)
    facts = _org_row(org) | _owned(call, org.name) | {"numUsers": len(members), "numFollowers": 0}
    return JSONResponse(facts | {"isVerified": False, "isFollowing": False})


def members(call: Call) -> Response:
    """GET /api/organizations/{name}/members, a page at a time."""
    _, found = _organization(call)
    return offset_page(call, [user_row(member) for member in found], default=_MOST, most=_MOST)


def nobody_of_user(call: Call) -> Response:
    """GET /api/users/{name}/followers, /following and /likes: an empty list."""
    _user(call)
    return JSONResponse([])


def nobody_of_organization(call: Call) -> Response:
    """GET /api/organizations/{name}/followers: an empty list."""
    _organization(call)
    return JSONResponse([])


def likers(call: Call) -> Response:
    """GET /api/T/{id}/likers: an empty list."""
    call.readable()
    return JSONResponse([])


def user_row(found: User) -> dict[str, object]:
    """Returns a user as lists show them."""
    return {
        "_id": found.name,
        "user": found.name,
        "fullname": found.fullname or found.name,
        "type": "user",
        "isPro": False,
        "isFollowing": False,
        "avatarUrl": "",
    }


def _org_row(org: Org) -> dict[str, object]:
    return {"_id": org.name, "name": org.name, "fullname": org.fullname or org.name, "type": "org", "avatarUrl": ""}


def _user(call: Call) -> User:
    # On a Hub without an auth file every name is a user's who signs in with any token.
    found = call.hub.accounts.find(call.params["name"])
    if found is None:
        raise ApiError(404, "This user does not exist")
    return found


def _organization(call: Call) -> tuple[Org, list[User]]:
    found = call.hub.accounts.organization(call.params["name"])
    if found is None:
        raise ApiError(404, "This organization does not exist")
    return found


def _owned(call: Call, namespace: str) -> dict[str, object]:
    counts = dict.fromkeys(RepoType, 0)
    for type_ in RepoType:
        for repo in call.hub.repos.list(type_):
            own = (repo.id.namespace or "").casefold() == namespace.casefold()
            counts[type_] += own and may_read(call.user, repo)
    return {f"num{type_.plural.capitalize()}": count for type_, count in counts.items()}


def whoami(call: Call) -> Response:
    """GET /api/whoami-v2."""
    user = call.signed_in()
    token = {"displayName": "token", "role": user.role, "createdAt": format_date(call.hub.accounts.since)}
    return JSONResponse(
        {
            "type": "user",
            "id": user.name,
            "name": user.name,
            "fullname": user.fullname or user.name,
            "isPro": False,
            # The embedded Hub's own: on a Hub without an auth file there are no organizations to list.
            "canWriteAnywhere": user.token is None,
            "orgs": [
                {
                    "type": "org",
                    "id": org.name,
                    "name": org.name,
                    "fullname": org.fullname or org.name,
                    "roleInOrg": _ROLE_IN_ORG[user.role],
                }
                for org in user.orgs
            ],
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def validate_yaml(call: Call) -> Response:
    """POST /api/validate-yaml: status 400 when there are errors, with the same body; as lines of text if asked for."""
    request = call.json()
    type_ = next((known for known in RepoType if known == request.get("repoType")), RepoType.MODEL)
    errors, warnings = check_card(str(request.get("content", "")), type_.value)
    status = 400 if errors else 200
    if call.headers.get("accept", "").startswith("text/plain"):
        lines = [f"- Error: {message}" for message in errors] + [f"- Warning: {message}" for message in warnings]
        return PlainTextResponse("\n".join(lines), status)
    body: dict[str, object] = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    if errors:
        body["error"] = errors[0]
    return JSONResponse(body, status_code=status)


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
        "user": _asking_user(call, request.user),
        "timestamp": format_date(request.timestamp),
        "status": request.status,
    }
    if request.reviewed is not None:
        row["reviewedAt"] = format_date(request.reviewed)
    if request.granted_by is not None:
        row["grantedBy"] = _asking_user(call, request.granted_by)
    if request.fields:
        row["fields"] = request.fields
    return row


def _asking_user(call: Call, name: str) -> dict[str, object]:
    user = call.hub.accounts.find(name)
    fullname = user.fullname if user and user.fullname else name
    return {"_id": name, "user": name, "fullname": fullname, "type": "user", "isPro": False, "avatarUrl": ""}
