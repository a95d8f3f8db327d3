"""HTTP routes of branches and tags, and of what changes a whole history: squashing, and managing large files."""

from starlette.responses import JSONResponse, Response

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.search_routes import offset_page
from hubtune.localhub.api_errors import ApiError, forbidden
from hubtune.localhub.bounds import check_length
from hubtune.localhub.commits import FIRST_COMMIT, Branch, commit
from hubtune.localhub.history_rewrite import LargeFileUse, Removal, large_file_uses, squash
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.refs import (
    RefInfo,
    check_branch_name,
    create_branch,
    create_tag,
    delete_branch,
    delete_tag,
    list_refs,
)
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import read_ref, resolve, resolve_branch
from hubtune.localhub.trees import commit_date


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
            commit(Branch(git, ref, call.hub.large_files_of(repo)), FIRST_COMMIT, author)
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


def super_squash(call: Call) -> Response:
    """POST /api/T/{id}/super-squash/{branch}."""
    repo = call.writable()
    message = check_length(str(call.json().get("message") or f"Super-squash branch '{call.revision}'"), "message")
    with call.hub.repos.lock(repo), repo.git() as git:
        ref, head = resolve_branch(git, call.revision)
        new = squash(git, ref, head, message=message, author=call.signed_in().name)
    return JSONResponse({"success": True, "commitOid": new.decode()})


def large_files(call: Call) -> Response:
    """GET /api/T/{id}/lfs-files: every large file of the history."""
    repo = call.writable()
    with repo.git() as git:
        rows = [_large_file_row(use) for use in large_file_uses(git)]
    return offset_page(call, rows, default=1000, most=1000)


def delete_large_files(call: Call) -> Response:
    """POST /api/T/{id}/lfs-files/batch: removes large files for good, from the history too unless told otherwise."""
    repo = call.writable()
    asked = call.json().get("deletions")
    wanted = asked.get("sha") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(wanted, list):
        raise ApiError(400, "The body lacks `deletions.sha`.")
    with call.hub.repos.lock(repo), repo.git() as git:
        here = call.hub.large_files_of(repo)
        doomed = here.all() & {str(sha) for sha in wanted}
        if asked.get("rewriteHistory") is not False:
            Removal(git, doomed).run()
        with call.hub.large_files.changing:
            for sha256 in doomed:
                here.remove(sha256)
                if not _is_used(call, sha256):
                    call.hub.large_files.discard(sha256)
    return JSONResponse({"success": True})


def duplicate_large_files(call: Call) -> Response:
    """POST /api/T/{id}/lfs-files/duplicate: lets another repository refer to large files of this one.

    All repositories share one store, so only a grant is added; what counts is who may do it.
    """
    repo = call.gated(call.readable())
    body = call.json()
    target, files = body.get("target"), body.get("files")
    if not isinstance(target, dict) or not isinstance(files, list):
        raise ApiError(400, "The body lacks `target` and `files`.")
    to = _find_target(call, target)
    asked = [str(file.get("sha256")) for file in files if isinstance(file, dict)]
    with repo.git() as git:
        here = {use.pointer.sha256 for use in large_file_uses(git)} & set(asked)
    with call.hub.repos.lock(to), call.hub.large_files.changing:
        here &= call.hub.large_files_of(repo).all()
        for sha256 in here:
            call.hub.large_files_of(to).add(sha256)
    return JSONResponse(
        {
            "succeeded": [{"sha256": sha256} for sha256 in asked if sha256 in here],
            "failed": [{"sha256": sha256, "error": "File not found"} for sha256 in asked if sha256 not in here],
        }
    )


def _find_target(call: Call, target: dict[str, object]) -> HubRepo:
    repo = call.hub.repos.find(RepoId.parse(RepoType.parse(target.get("type")), str(target.get("name"))))
    if repo is None or not may_read(call.user, repo) or not call.signed_in().may_propose:
        raise forbidden()
    return call.gated(repo)


def _is_used(call: Call, sha256: str) -> bool:
    repos = (repo for type_ in RepoType for repo in call.hub.repos.list(type_))
    return any(call.hub.large_files_of(repo).lists(sha256) for repo in repos)


def _large_file_row(use: LargeFileUse) -> dict[str, object]:
    return {
        "fileOid": use.pointer.sha256,
        "oid": use.pointer.sha256,
        "filename": use.path,
        "size": use.pointer.size,
        "pushedAt": commit_date(use.commit),
        "ref": use.ref,
    }
