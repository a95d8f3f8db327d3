"""Users and organisations over HTTP: who they are and what is theirs. Nobody follows anybody or likes anything here."""

from starlette.responses import JSONResponse, Response

from hubtune.localhub.accounts import Org, User, may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.paging import offset_page
from hubtune.localhub.errors import ApiError
from hubtune.localhub.ids import RepoType

_MOST = 500


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
