"""Branches and tags over HTTP."""

from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.bounds import check_length
from hubtune.localhub.commits import FIRST_COMMIT, commit
from hubtune.localhub.errors import ApiError
from hubtune.localhub.refs import (
    RefInfo,
    check_branch_name,
    create_branch,
    create_tag,
    delete_branch,
    delete_tag,
    list_refs,
)
from hubtune.localhub.revisions import read_ref, resolve


def refs(call: Call) -> Response:
    """GET /api/T/{id}/refs."""
    with call.readable().git() as git:
        body = {
            "branches": [_row(ref) for ref in list_refs(git, "refs/heads")],
            "converts": [_row(ref) for ref in list_refs(git, "refs/convert")],
            "tags": [_row(ref) for ref in list_refs(git, "refs/tags")],
        }
        if call.flag("include_prs"):
            body["pullRequests"] = [_row(ref) for ref in list_refs(git, "refs/pr")]
    return JSONResponse(body)


def add_tag(call: Call) -> Response:
    """POST /api/T/{id}/tag/{rev}: tags what the revision means now."""
    repo = call.writable()
    body = call.json()
    name, message = body.get("tag"), body.get("message")
    if not isinstance(name, str):
        raise ApiError(400, "The body lacks `tag`.")
    with call.hub.repos.lock(repo), repo.git() as git:
        create_tag(
            git,
            name,
            resolve(git, call.revision),
            message=check_length(message, "message") if isinstance(message, str) else None,
            tagger=call.signed_in().name,
        )
    return JSONResponse({})


def remove_tag(call: Call) -> Response:
    """DELETE /api/T/{id}/tag/{name}."""
    repo = call.writable()
    with call.hub.repos.lock(repo), repo.git() as git:
        delete_tag(git, call.revision)
    return JSONResponse({})


def add_branch(call: Call) -> Response:
    """POST /api/T/{id}/branch/{name}."""
    repo = call.writable()
    body = call.json()
    start = str(body.get("startingPoint") or "main")
    overwrite = body.get("overwrite") is True
    with call.hub.repos.lock(repo), repo.git() as git:
        ref = check_branch_name(git, call.revision)
        if body.get("emptyBranch") is True and read_ref(git, ref) is None:
            author = call.signed_in().name
            commit(git, ref, FIRST_COMMIT, author=author, large_files=call.hub.large_files_of(repo))
        else:
            create_branch(git, call.revision, resolve(git, start), overwrite=overwrite)
    return JSONResponse({})


def remove_branch(call: Call) -> Response:
    """DELETE /api/T/{id}/branch/{name}."""
    repo = call.writable()
    with call.hub.repos.lock(repo), repo.git() as git:
        delete_branch(git, call.revision)
    return JSONResponse({})


def _row(ref: RefInfo) -> dict[str, str]:
    return {"name": ref.name, "ref": ref.ref, "targetCommit": ref.commit}
