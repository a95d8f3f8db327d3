"""Who is asking, and whether a card's metadata is valid: requests that concern no repository."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.history import format_date
from hubtune.localhub.ids import RepoType
from hubtune.metadata.hub_rules import check_card

_ROLE_IN_ORG = {"write": "write", "read": "read", "pr": "contributor"}


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
            # The embedded Hub's own: on a Hub without an auth file there are no organisations to list.
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
    body = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    if errors:
        body["error"] = errors[0]  # type: ignore[assignment]
    return JSONResponse(body, status_code=status)
