"""Commits over HTTP: what to upload how, and the commit itself."""

import base64
from collections.abc import Mapping

from dulwich.objects import ObjectID
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES, IgnorePatterns, LargePatterns
from hubtune.localhub.changes import read_commit_request
from hubtune.localhub.commits import commit as write_commit
from hubtune.localhub.errors import ApiError
from hubtune.localhub.paths import check_path
from hubtune.localhub.revisions import resolve, resolve_branch
from hubtune.localhub.trees import file_facts, find_entry, read_file

_LARGE_FROM = 10 * 1024 * 1024
_MOST_FILES = 1000


def preupload(call: Call) -> Response:
    """POST /api/T/{id}/preupload/{rev}: how each file is to be sent, and what is there already."""
    _refuse_pull_request(call)
    repo = call.writable()
    body = call.json()
    files = body.get("files")
    if not isinstance(files, list):
        raise ApiError(400, "The body lacks `files`.")
    if len(files) > _MOST_FILES:
        raise ApiError(413, f"A request may name {_MOST_FILES} files at most.")
    for file in files:
        if isinstance(file, dict):
            check_path(str(file.get("path")))
    with repo.git() as git:
        commit = resolve(git, call.revision)
        ignore = body.get("gitIgnore")
        ignored = IgnorePatterns(
            ignore.encode(errors="replace") if isinstance(ignore, str) else read_file(git, commit, ".gitignore") or b""
        )
        marked = LargePatterns(read_file(git, commit, ".gitattributes") or b"")
        rows = [
            {
                "path": str(file.get("path")),
                "uploadMode": "lfs" if _is_large(file, marked) else "regular",
                "shouldIgnore": ignored.match(str(file.get("path"))),
                "oid": _existing(git, commit, str(file.get("path"))),
            }
            for file in files
            if isinstance(file, dict)
        ]
    return JSONResponse({"files": rows, "commitOid": commit.decode()})


def commit(call: Call) -> Response:
    """POST /api/T/{id}/commit/{rev}."""
    _refuse_pull_request(call)
    repo = call.writable()
    request = read_commit_request(call.body)
    with call.hub.repos.lock(repo), repo.git() as git:
        ref, _ = resolve_branch(git, call.revision)
        author = call.signed_in().name
        new = write_commit(git, ref, request, author=author, large_files=call.hub.large_files).decode()
    return JSONResponse(
        {
            "success": True,
            "commitOid": new,
            "commitUrl": call.url(f"{repo.id.url_path}/commit/{new}"),
            "hookOutput": "",
        }
    )


def _refuse_pull_request(call: Call) -> None:
    if call.flag("create_pr"):
        call.readable()
        raise ApiError(501, "The embedded Hub has no pull requests yet; commit to a branch instead.")


def _is_large(file: Mapping[str, object], marked: LargePatterns) -> bool:
    path, size = str(file.get("path")), file.get("size")
    if not isinstance(size, int) or size == 0:
        return False
    if size > _LARGE_FROM or marked.match(path):
        return True
    return _is_binary(file.get("sample")) and LargePatterns(NEW_REPO_ATTRIBUTES).match(path)


def _is_binary(sample: object) -> bool:
    try:
        return b"\0" in base64.b64decode(str(sample or ""))
    except ValueError:
        return False


def _existing(git: Repo, commit: ObjectID, path: str) -> str | None:
    entry = find_entry(git, commit, path)
    if entry is None or entry.is_folder:
        return None
    pointer = file_facts(git, entry.oid).pointer
    return pointer.sha256 if pointer else entry.oid
