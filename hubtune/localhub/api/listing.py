"""What a revision holds and how it came about: trees, single paths and the history."""

from collections.abc import Iterable, Iterator
from itertools import islice
from urllib.parse import parse_qs

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call, read_number
from hubtune.localhub.api.paging import next_link
from hubtune.localhub.errors import ApiError, entry_not_found
from hubtune.localhub.history import author_name, commit_date, description, last_changes, title, walk
from hubtune.localhub.revisions import resolve
from hubtune.localhub.trees import PathFinder, TreeEntry, file_facts, find_entry, list_entries

_MOST_PATHS = 1000
_UNSCANNED = {"status": "unscanned"}


def tree(call: Call) -> Response:
    """GET /api/T/{id}/tree/{rev}/{path}, a page at a time.

    The cursor of the next page holds the commit, so that a listing stays whole when the branch moves meanwhile.
    """
    pinned, _, skipped = call.query.get("cursor", "").partition(":")
    offset = read_number(skipped) or 0
    expand = call.flag("expand")
    limit = call.number("limit", 100 if expand else 1000, most=1000)
    path = call.params.get("path", "").rstrip("/")
    with call.open() as (_, git, head):
        commit = resolve(git, pinned) if pinned else head
        folder = find_entry(git, commit, path)
        if folder is None or not folder.is_folder:
            raise entry_not_found(f"{path} does not exist on {call.revision!r}")
        entries = list_entries(git, folder, recursive=call.flag("recursive"))
        page = list(islice(entries, offset, offset + limit + 1))
        rows = list(_rows(git, commit, page[:limit], expand=expand))
    more = {"cursor": f"{commit.decode()}:{offset + limit}"} if len(page) > limit else None
    return JSONResponse(rows, headers=next_link(call, more))


def paths_info(call: Call) -> Response:
    """POST /api/T/{id}/paths-info/{rev}: those of the paths that exist."""
    paths, expand = _asked_paths(call)
    if len(paths) > _MOST_PATHS:
        raise ApiError(413, "too many parameters")
    with call.open() as (_, git, commit):
        finder = PathFinder(git, commit)
        found = [finder.find(path.strip("/")) for path in paths if path.strip("/")]
        rows = list(_rows(git, commit, [entry for entry in found if entry], expand=expand))
    for row in rows:
        if isinstance(row.get("lfs"), dict) and not expand:
            # Clients copy a large file from one repository to another only where this stands. There is no Xet
            # storage here: any name of the content will do. Those that read files ask for more, and would try Xet.
            row["xetHash"] = row["lfs"]["oid"]  # type: ignore[index]
    return JSONResponse(rows)


def commits(call: Call) -> Response:
    """GET /api/T/{id}/commits/{rev}, the newest first, a page at a time."""
    limit = call.number("limit", 50, most=1000)
    page = call.number("p", 0, least=0, most=10**6)
    formatted = "formatted" in [*call.query.getlist("expand"), *call.query.getlist("expand[]")]
    with call.open() as (_, git, head):
        history = list(walk(git, head))
    rows = [_commit_row(item, formatted=formatted) for item in history[page * limit : (page + 1) * limit]]
    more = {"p": str(page + 1)} if len(history) > (page + 1) * limit else None
    return JSONResponse(rows, headers={"X-Total-Count": str(len(history)), **next_link(call, more)})


def _rows(git: Repo, commit: ObjectID, entries: Iterable[TreeEntry], *, expand: bool) -> Iterator[dict[str, object]]:
    entries = list(entries)
    changes = last_changes(git, commit, [entry.path for entry in entries]) if expand else {}
    for entry in entries:
        row: dict[str, object] = {
            "type": "directory" if entry.is_folder else "file",
            "oid": entry.oid,
            "size": 0,
            "path": entry.path,
        }
        if not entry.is_folder:
            facts = file_facts(git, entry.oid)
            row["size"] = facts.size
            if facts.pointer:
                size = len(facts.pointer.encode())
                row["lfs"] = {"oid": facts.pointer.sha256, "size": facts.size, "pointerSize": size}
        if entry.path in changes:
            change = changes[entry.path]
            row["lastCommit"] = {
                "id": change.id.decode(),
                "title": title(change),
                "date": commit_date(change),
            }
        if expand and not entry.is_folder:
            row["securityFileStatus"] = {
                **_UNSCANNED,
                "avScan": _UNSCANNED,
                "pickleImportScan": {**_UNSCANNED, "pickleImports": []},
            }
        yield row


def _commit_row(commit: Commit, *, formatted: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "id": commit.id.decode(),
        "title": title(commit),
        "message": description(commit),
        "authors": [{"user": author_name(commit)}],
        "date": commit_date(commit),
    }
    if formatted:
        row["formatted"] = {"title": title(commit), "message": description(commit)}
    return row


def _asked_paths(call: Call) -> tuple[list[str], bool]:
    if call.headers.get("content-type", "").startswith("application/json"):
        body = call.json()
        paths = body.get("paths")
        return [str(path) for path in paths] if isinstance(paths, list) else [], body.get("expand") is True
    form = parse_qs(call.body.decode(errors="replace"), keep_blank_values=True)
    return form.get("paths", []), form.get("expand", [""])[-1].lower() in {"true", "1"}
