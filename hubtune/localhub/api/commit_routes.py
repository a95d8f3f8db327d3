"""HTTP routes of commits, branches and tags.

A commit is asked first which of its files are uploaded how, and then made, or proposed as a pull request. Squashing a
history and managing large files are here too, since they change all of it.
"""

import base64
import re
from collections.abc import Mapping

from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub import refs as git_refs
from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.discussion_routes import next_number, page_path
from hubtune.localhub.api.repo_routes import offset_page
from hubtune.localhub.api_errors import LONGEST_CARD, ApiError, check_length, check_path, forbidden
from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES, IgnorePatterns, LargePatterns
from hubtune.localhub.commits import FIRST_COMMIT, Branch, commit
from hubtune.localhub.commits import commit as write_commit
from hubtune.localhub.discussions import Discussion, DiscussionStore, Event, comment_event, event
from hubtune.localhub.history_rewrite import LargeFileUse, Removal, large_file_uses, squash
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import read_ref, resolve, resolve_branch
from hubtune.localhub.tree_edits import AddFile, CommitRequest, read_commit_request
from hubtune.localhub.trees import PathFinder, TreeEntry, commit_date, file_facts, read_file
from hubtune.metadata.hub_rules import check_card

_LARGE_FROM = 10 * 1024 * 1024
_MOST_FILES = 1000
_LONGEST_TITLE = 200
_PULL_REQUEST = re.compile(r"refs/pr/(\d{1,9})")


def preupload(call: Call) -> Response:
    """POST /api/T/{id}/preupload/{rev}: how each file is to be sent, and what is there already."""
    repo = committable(call)
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
        make_commit = resolve(git, call.revision)
        ignore = body.get("gitIgnore")
        ignored = IgnorePatterns(
            ignore.encode(errors="replace")
            if isinstance(ignore, str)
            else read_file(git, make_commit, ".gitignore") or b""
        )
        paths = PathFinder(git, make_commit)
        marked = LargePatterns(read_file(git, make_commit, ".gitattributes") or b"")
        usual = LargePatterns(NEW_REPO_ATTRIBUTES)
        rows = [
            {
                "path": str(file.get("path")),
                "uploadMode": "lfs" if _is_large(file, marked, usual) else "regular",
                "shouldIgnore": ignored.match(str(file.get("path"))),
                "oid": _existing(git, paths.find(str(file.get("path")))),
            }
            for file in files
            if isinstance(file, dict)
        ]
    return JSONResponse({"files": rows, "commitOid": make_commit.decode()})


def make_commit(call: Call) -> Response:
    """POST /api/T/{id}/commit/{rev}: to a branch, to a pull request, or with `create_pr` as a new pull request."""
    repo = committable(call)
    request = read_commit_request(call.file)
    _check_readme(repo, request)
    author = call.signed_in().name
    with call.hub.repos.lock(repo), repo.git() as git:
        ref, head = resolve_branch(git, call.revision)
        if call.flag("create_pr"):
            return _propose(call, repo, git, ref, request)
        record = pull_request_of(repo, ref.decode())
        # It may have been merged while the commit waited: what came after would be in no branch that counts.
        _check_unsettled(record)
        new = write_commit(Branch(git, ref, call.hub.large_files_of(repo)), request, author)
        if record is not None and new != head:
            DiscussionStore(repo.path).save(record.with_event(_pushed(author, request, new)))
    return JSONResponse(_answer(call, repo, new))


def committable(call: Call, revision: str | None = None) -> HubRepo:
    """Returns the repository of the path to one who may commit to a revision, or propose a commit.

    Args:
        call: The request.
        revision: The revision instead of that of the path.

    Raises:
        ApiError: As `Call.readable`; 401 for nobody, 403 for a user who may do neither; GatedRepo.
    """
    repo = call.readable()
    user = call.signed_in()
    record = pull_request_of(repo, revision or call.revision)
    if call.flag("create_pr"):
        call.discussable()
    elif record is not None:
        if not user.may_write(repo.id) and not (user.may_propose and user.name == record.author):
            raise forbidden()
        _check_unsettled(record)
        # Whose access was taken away learns nothing more from what is in the repository already.
        call.gated(repo)
    elif not user.may_write(repo.id):
        raise ApiError(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
    return repo


def pull_request_of(repo: HubRepo, revision: str) -> Discussion | None:
    """Returns the pull request whose branch a revision is, or None."""
    match = _PULL_REQUEST.fullmatch(revision)
    return DiscussionStore(repo.path).find(int(match[1])) if match else None


def _check_unsettled(record: Discussion | None) -> None:
    if record is not None and record.status not in {"open", "draft"}:
        raise ApiError(403, f"The pull request is {record.status}.")


def _propose(call: Call, repo: HubRepo, git: Repo, base: Ref, request: CommitRequest) -> Response:
    store = DiscussionStore(repo.path)
    author = call.signed_in().name
    record = Discussion(
        num=next_number(git, store),
        title=request.summary[:_LONGEST_TITLE],
        author=author,
        pull_request=True,
        base=base.decode(),
        events=(comment_event(author, request.description),) if request.description else (),
    )
    ref = Ref(record.ref.encode())
    # A proposal may start at an earlier commit than where its base is now.
    start = resolve(git, request.parent) if request.parent else read_ref(git, base)
    new = write_commit(Branch(git, ref, call.hub.large_files_of(repo), start), request, author)
    store.save(record.with_event(_pushed(author, request, new)))
    return JSONResponse(_answer(call, repo, new) | {"pullRequestUrl": call.url(page_path(repo, record))})


def _answer(call: Call, repo: HubRepo, new: ObjectID) -> dict[str, object]:
    return {
        "success": True,
        "commitOid": new.decode(),
        "commitUrl": call.url(f"{repo.id.url_path}/commit/{new.decode()}"),
        "hookOutput": "",
    }


def _pushed(author: str, request: CommitRequest, new: ObjectID) -> Event:
    return event("commit", author, {"subject": request.summary, "oid": new.decode()})


def _check_readme(repo: HubRepo, request: CommitRequest) -> None:
    for change in request.changes:
        if isinstance(change, AddFile) and change.path == "README.md":
            if len(change.content) > LONGEST_CARD:
                raise ApiError(400, f"README.md is larger than {LONGEST_CARD >> 20} MiB.")
            errors, _ = check_card(change.content.decode(errors="replace"), repo.id.type.value)
            if errors:
                told = "\n".join(f"- Error: {message}" for message in errors)
                raise ApiError(400, f"Your push was rejected during YAML metadata verification:\n{told}")


def _is_large(file: Mapping[str, object], marked: LargePatterns, usual: LargePatterns) -> bool:
    path, size = str(file.get("path")), file.get("size")
    if not isinstance(size, int) or size == 0:
        return False
    if size > _LARGE_FROM or marked.match(path):
        return True
    return _is_binary(file.get("sample")) and usual.match(path)


def _is_binary(sample: object) -> bool:
    try:
        return b"\0" in base64.b64decode(str(sample or ""))
    except ValueError:
        return False


def _existing(git: Repo, entry: TreeEntry | None) -> str | None:
    if entry is None or entry.is_folder:
        return None
    pointer = file_facts(git, entry.oid).pointer
    return pointer.sha256 if pointer else entry.oid


def refs(call: Call) -> Response:
    """GET /api/T/{id}/refs."""
    with call.readable().git() as git:
        body = {
            "branches": [_row(ref) for ref in git_refs.list_refs(git, "refs/heads")],
            "converts": [_row(ref) for ref in git_refs.list_refs(git, "refs/convert")],
            "tags": [_row(ref) for ref in git_refs.list_refs(git, "refs/tags")],
        }
        if call.flag("include_prs"):
            body["pullRequests"] = [_row(ref) for ref in git_refs.list_refs(git, "refs/pr")]
    return JSONResponse(body)


def add_tag(call: Call) -> Response:
    """POST /api/T/{id}/tag/{rev}: tags what the revision means now."""
    repo = call.writable()
    body = call.json()
    name, message = body.get("tag"), body.get("message")
    if not isinstance(name, str):
        raise ApiError(400, "The body lacks `tag`.")
    with call.hub.repos.lock(repo), repo.git() as git:
        git_refs.create_tag(
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
        git_refs.delete_tag(git, call.revision)
    return JSONResponse({})


def add_branch(call: Call) -> Response:
    """POST /api/T/{id}/branch/{name}."""
    repo = call.writable()
    body = call.json()
    start = str(body.get("startingPoint") or "main")
    overwrite = body.get("overwrite") is True
    with call.hub.repos.lock(repo), repo.git() as git:
        ref = git_refs.check_branch_name(git, call.revision)
        if body.get("emptyBranch") is True and read_ref(git, ref) is None:
            author = call.signed_in().name
            commit(Branch(git, ref, call.hub.large_files_of(repo)), FIRST_COMMIT, author)
        else:
            git_refs.create_branch(git, call.revision, resolve(git, start), overwrite=overwrite)
    return JSONResponse({})


def remove_branch(call: Call) -> Response:
    """DELETE /api/T/{id}/branch/{name}."""
    repo = call.writable()
    with call.hub.repos.lock(repo), repo.git() as git:
        git_refs.delete_branch(git, call.revision)
    return JSONResponse({})


def _row(ref: git_refs.RefInfo) -> dict[str, str]:
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
