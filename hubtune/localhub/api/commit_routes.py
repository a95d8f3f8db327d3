"""HTTP routes of commits: which files are uploaded how, and the commit itself, or the pull request made of it."""

import base64
import re
from collections.abc import Mapping

from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.api.discussion_routes import next_number, page_path
from hubtune.localhub.api_errors import ApiError, forbidden
from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES, IgnorePatterns, LargePatterns
from hubtune.localhub.bounds import LONGEST_CARD, check_path
from hubtune.localhub.commits import Branch
from hubtune.localhub.commits import commit as write_commit
from hubtune.localhub.discussions import Discussion, DiscussionStore, Event, comment_event, event
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import read_ref, resolve, resolve_branch
from hubtune.localhub.tree_edits import AddFile, CommitRequest, read_commit_request
from hubtune.localhub.trees import PathFinder, TreeEntry, file_facts, read_file
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
        commit = resolve(git, call.revision)
        ignore = body.get("gitIgnore")
        ignored = IgnorePatterns(
            ignore.encode(errors="replace") if isinstance(ignore, str) else read_file(git, commit, ".gitignore") or b""
        )
        paths = PathFinder(git, commit)
        marked = LargePatterns(read_file(git, commit, ".gitattributes") or b"")
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
    return JSONResponse({"files": rows, "commitOid": commit.decode()})


def commit(call: Call) -> Response:
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
