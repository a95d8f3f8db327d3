"""HTTP routes that read a commit: files and ranges of them, folders, facts about paths, and the history.

Small files come from git and large ones from their store.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, quote

import anyio
from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response, StreamingResponse

from hubtune.localhub import trees
from hubtune.localhub.api.call import Call, read_number
from hubtune.localhub.api.repo_routes import next_link
from hubtune.localhub.api_errors import ApiError, entry_not_found
from hubtune.localhub.attributes import UNTRUSTED, picture_type
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import resolve

_CHUNK = 1 << 20
ALWAYS_READABLE = {"README.md", "LICENSE", "LICENSE.md"}
"""What a gated repository shows to everybody, so that they know what to ask for."""

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
_MOST_PATHS = 1000
_UNSCANNED = {"status": "unscanned"}


@dataclass(frozen=True)
class _Content:
    source: bytes | Path
    size: int

    async def stream(self, start: int, stop: int) -> AsyncIterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source[start:stop]
            return
        async with await anyio.open_file(self.source, "rb") as file:
            await file.seek(start)
            while start < stop and (chunk := await file.read(min(_CHUNK, stop - start))):
                start += len(chunk)
                yield chunk


def resolve_file(call: Call) -> Response:
    """GET and HEAD /[datasets/|spaces/]{id}/resolve/{rev}/{path}."""
    return _serve(call, pointers=False)


def raw(call: Call) -> Response:
    """GET and HEAD of /raw/: as git stores the file, so a large one is its pointer."""
    return _serve(call, pointers=True)


def _serve(call: Call, *, pointers: bool) -> Response:
    path = call.params["path"]
    repo = call.readable()
    if pointers or path not in ALWAYS_READABLE:
        call.gated(repo)
    with call.open(repo) as (_, git, commit):
        entry = trees.find_entry(git, commit, path)
        if entry is None or entry.is_folder:
            raise entry_not_found("Entry not found", commit=commit.decode())
        blob = trees.read_blob(git, entry.oid)
    pointer = None if pointers else Pointer.decode(blob)
    content = _Content(blob, len(blob))
    headers = {
        "ETag": f'"{entry.oid}"',
        "X-Repo-Commit": commit.decode(),
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(path),
        **UNTRUSTED,
    }
    if not pointers and (picture := picture_type(path)) is not None:
        headers["Content-Type"] = picture
    if pointer is not None:
        content = _Content(_stored(call, repo, pointer, commit), pointer.size)
        headers["ETag"] = headers["X-Linked-Etag"] = f'"{pointer.sha256}"'
        headers["X-Linked-Size"] = str(pointer.size)
    return _answer(call, content, headers)


def _stored(call: Call, repo: HubRepo, pointer: Pointer, commit: ObjectID) -> Path:
    if not call.hub.large_files_of(repo).lists(pointer.sha256):
        raise entry_not_found(f"The repository lacks the large file {pointer.sha256}.", commit=commit.decode())
    if not call.hub.large_files.holds(pointer):
        raise ApiError(500, f"The Hub's store lacks the large file {pointer.sha256}.")
    return call.hub.large_files.path(pointer.sha256)


def _answer(call: Call, content: _Content, headers: dict[str, str]) -> Response:
    start, stop, status = 0, content.size, 200
    # A range of what the client began to download is none of another content.
    is_same = call.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    span = _span(call.headers.get("range", ""), content.size) if is_same else None
    if span is not None:
        start, stop = span
        status = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    headers["Content-Length"] = str(stop - start)
    plain = "application/octet-stream" if isinstance(content.source, Path) else "text/plain"
    headers.setdefault("Content-Type", plain)
    if call.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(content.stream(start, stop), status_code=status, headers=headers)


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Returns the bytes from (inclusive) and to (exclusive); None for the whole file.

    As RFC 9110 has it, a range that makes no sense is ignored, and one outside the file is an error.
    """
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or asked[0] == "bytes=-":
        return None
    first, last = asked.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    else:
        start, stop = max(size - int(last), 0), size
    if start >= stop:
        raise ApiError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, stop


def _disposition(path: str) -> str:
    name = path.rpartition("/")[2]
    plain = re.sub(r'[^\x20-\x7e]|["\\]', "_", name)
    return f"inline; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\";"


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
        folder = trees.find_entry(git, commit, path)
        if folder is None or not folder.is_folder:
            raise entry_not_found(f"{path} does not exist on {call.revision!r}")
        entries = trees.list_entries(git, folder, recursive=call.flag("recursive"))
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
        finder = trees.PathFinder(git, commit)
        found = [finder.find(path.strip("/")) for path in paths if path.strip("/")]
        rows = list(_rows(git, commit, [entry for entry in found if entry], expand=expand))
    for row in rows:
        large = row.get("lfs")
        if isinstance(large, dict) and not expand:
            # Clients copy a large file from one repository to another only if this stands. There is no Xet
            # storage here: any name of the content will do. Those that read files ask for more, and would try Xet.
            row["xetHash"] = large["oid"]
    return JSONResponse(rows)


def commits(call: Call) -> Response:
    """GET /api/T/{id}/commits/{rev}, the newest first, a page at a time."""
    limit = call.number("limit", 50, most=1000)
    page = call.number("p", 0, least=0, most=10**6)
    formatted = "formatted" in [*call.query.getlist("expand"), *call.query.getlist("expand[]")]
    with call.open() as (_, git, head):
        history = list(trees.walk(git, head))
    rows = [_commit_row(item, formatted=formatted) for item in history[page * limit : (page + 1) * limit]]
    more = {"p": str(page + 1)} if len(history) > (page + 1) * limit else None
    return JSONResponse(rows, headers={"X-Total-Count": str(len(history)), **next_link(call, more)})


def _rows(
    git: Repo, commit: ObjectID, entries: Iterable[trees.TreeEntry], *, expand: bool
) -> Iterator[dict[str, object]]:
    entries = list(entries)
    changes = trees.last_changes(git, commit, [entry.path for entry in entries]) if expand else {}
    for entry in entries:
        row: dict[str, object] = {
            "type": "directory" if entry.is_folder else "file",
            "oid": entry.oid,
            "size": 0,
            "path": entry.path,
        }
        if not entry.is_folder:
            facts = trees.file_facts(git, entry.oid)
            row["size"] = facts.size
            if facts.pointer:
                size = len(facts.pointer.encode())
                row["lfs"] = {"oid": facts.pointer.sha256, "size": facts.size, "pointerSize": size}
        if entry.path in changes:
            change = changes[entry.path]
            row["lastCommit"] = {
                "id": change.id.decode(),
                "title": trees.title(change),
                "date": trees.commit_date(change),
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
        "title": trees.title(commit),
        "message": trees.description(commit),
        "authors": [{"user": trees.author_name(commit)}],
        "date": trees.commit_date(commit),
    }
    if formatted:
        row["formatted"] = {"title": trees.title(commit), "message": trees.description(commit)}
    return row


def _asked_paths(call: Call) -> tuple[list[str], bool]:
    if call.headers.get("content-type", "").startswith("application/json"):
        body = call.json()
        paths = body.get("paths")
        return [str(path) for path in paths] if isinstance(paths, list) else [], body.get("expand") is True
    form = parse_qs(call.body.decode(errors="replace"), keep_blank_values=True)
    return form.get("paths", []), form.get("expand", [""])[-1].lower() in {"true", "1"}
