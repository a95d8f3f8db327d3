"""The pages of folders and files."""

import hashlib
from itertools import islice
from urllib.parse import quote

from dulwich.objects import ObjectID
from dulwich.repo import Repo
from starlette.responses import RedirectResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.api.download import ALWAYS_READABLE
from hubtune.localhub.errors import entry_not_found
from hubtune.localhub.history import last_changes
from hubtune.localhub.pictures import picture_type
from hubtune.localhub.pointers import Pointer
from hubtune.localhub.trees import TreeEntry, file_facts, find_entry, list_entries, read_blob
from hubtune.localhub.web.card import body_of
from hubtune.localhub.web.places import commit_line, place
from hubtune.records.views import CommitLine, FileKind, FileRow, FileView, TreeView

_MOST_ROWS = 1000
_LONGEST_TEXT = 512 * 1024
_MOST_COMMITS = 300
"""To find the last change of a file in: each costs a look at the whole tree."""


def folder(call: Call) -> TreeView:
    """GET /[datasets/|spaces/]{id}/tree/{rev}/{path}."""
    path = call.params.get("path", "").strip("/")
    with call.open() as (repo, git, commit):
        found = find_entry(git, commit, path)
        if found is None or not found.is_folder:
            raise entry_not_found(f"There is no folder {path} in {call.revision}.", commit=commit.decode())
        entries = sorted(list_entries(git, found, recursive=False), key=lambda entry: not entry.is_folder)
        changes = _changes(git, commit, entries[:_MOST_ROWS])
        rows = tuple(_row(git, entry, changes.get(entry.path)) for entry in islice(entries, _MOST_ROWS))
        return TreeView(place(call, repo, commit), path, rows, len(entries))


def file(call: Call) -> FileView | Response:
    """GET /[datasets/|spaces/]{id}/blob/{rev}/{path}; of a gated repository only to those who may read it."""
    path = call.params["path"].strip("/")
    repo = call.readable()
    if path not in ALWAYS_READABLE:
        call.gated(repo)
    with call.open(repo) as (_, git, commit):
        entry = find_entry(git, commit, path)
        if entry is None:
            raise entry_not_found(f"There is no file {path} in {call.revision}.", commit=commit.decode())
        if entry.is_folder:
            return RedirectResponse(f"/{repo.id.url_path}/tree/{quote(call.revision, safe='')}/{quote(path)}", 302)
        content = read_blob(git, entry.oid)
        pointer = Pointer.decode(content)
        kind = _kind(path, content, pointer)
        text = content.decode() if kind in {"text", "markdown"} else ""
        plain = call.flag("plain")
        return FileView(
            place=place(call, repo, commit),
            path=path,
            kind=kind,
            size=pointer.size if pointer else len(content),
            large=pointer is not None,
            sha256=pointer.sha256 if pointer else hashlib.sha256(content).hexdigest(),
            last_commit=_changes(git, commit, [entry]).get(path),
            text=body_of(text) if kind == "markdown" and not plain else text,
            plain=plain,
        )


def _kind(path: str, content: bytes, pointer: Pointer | None) -> FileKind:
    if picture_type(path) is not None:
        return "picture"
    if pointer is not None or len(content) > _LONGEST_TEXT:
        return "large"
    if b"\0" in content:
        return "binary"
    try:
        content.decode()
    except UnicodeDecodeError:
        return "binary"
    return "markdown" if path.lower().endswith((".md", ".markdown")) else "text"


def _row(git: Repo, entry: TreeEntry, change: CommitLine | None) -> FileRow:
    if entry.is_folder:
        return FileRow(entry.path, None, last_commit=change)
    facts = file_facts(git, entry.oid)
    return FileRow(entry.path, facts.size, facts.pointer is not None, change)


def _changes(git: Repo, commit: ObjectID, entries: list[TreeEntry]) -> dict[str, CommitLine]:
    found = last_changes(git, commit, [entry.path for entry in entries], most=_MOST_COMMITS)
    return {path: commit_line(change) for path, change in found.items()}
