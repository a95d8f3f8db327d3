"""Changes of history over HTTP: squashing a branch, and the large files of a repository."""

from starlette.responses import JSONResponse, Response

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.paging import offset_page
from hubtune.localhub.bounds import check_length
from hubtune.localhub.errors import ApiError, forbidden
from hubtune.localhub.history import commit_date
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.large_file_uses import LargeFileUse, large_file_uses
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import resolve_branch
from hubtune.localhub.rewriting import Removal, squash


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
        rows = [_row(use) for use in large_file_uses(git)]
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

    All repositories share one store, so nothing is copied but the mention in the ledger; what counts is who may do it.
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


def _row(use: LargeFileUse) -> dict[str, object]:
    return {
        "fileOid": use.pointer.sha256,
        "oid": use.pointer.sha256,
        "filename": use.path,
        "size": use.pointer.size,
        "pushedAt": commit_date(use.commit),
        "ref": use.ref,
    }
