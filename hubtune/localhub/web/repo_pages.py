"""Pages of one repository: its first page with the card, and its folders and files."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import cast
from urllib.parse import quote

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo
from starlette.responses import RedirectResponse, Response

from hubtune.documents import UnreadableError
from hubtune.localhub import trees
from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.download_routes import ALWAYS_READABLE
from hubtune.localhub.api_errors import ApiError, entry_not_found
from hubtune.localhub.attributes import picture_type
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.refs import list_refs
from hubtune.localhub.repos import HubRepo
from hubtune.metadata.front_matter import front_matter, split_card
from hubtune.records import views

_MOST = 200
_LONGEST = 300
Finder = Callable[[str, views.RepoKind], str | None]
"""Returns the path of a repository's page, or None if there is none to show."""

_MOST_ROWS = 1000
_LONGEST_TEXT = 512 * 1024
_MOST_COMMITS = 300
"""To find the last change of a file in: each costs a look at the whole tree."""


def kind_of(type_: RepoType) -> views.RepoKind:
    """Returns a type of repositories as pages name it."""
    return type_.value


def repo_name(repo_id: RepoId) -> views.RepoName:
    """Returns a repository as pages name it."""
    return views.RepoName(kind_of(repo_id.type), str(repo_id), f"/{repo_id.url_path}")


def place(call: Call, repo: HubRepo, commit: ObjectID) -> views.PageLocation:
    """Returns the repository and revision that a request asks for."""
    settings = repo.settings
    return views.PageLocation(
        repo_name(repo.id), call.revision, commit.decode(), settings.private, bool(settings.gated)
    )


def commit_line(commit: Commit) -> views.CommitRow:
    """Returns a commit as pages list it."""
    return views.CommitRow(
        sha=commit.id.decode(),
        title=trees.title(commit) or "(no message)",
        author=trees.author_name(commit),
        date=datetime.fromtimestamp(commit.commit_time, UTC),
        message=trees.description(commit),
    )


def read_commit(git: Repo, sha: ObjectID) -> views.CommitRow:
    """Returns the commit with this digest."""
    return commit_line(cast("Commit", git[sha]))


def ref_lines(git: Repo, base: str) -> tuple[views.RefLine, ...]:
    """Returns the refs below `refs/heads`, `refs/tags` or another base."""
    return tuple(views.RefLine(ref.name, ref.commit) for ref in list_refs(git, base))


def read_card(text: str, find: Finder) -> views.CardView:
    """Reads a README.

    Args:
        text: The whole file.
        find: Finds the repositories that it names.
    """
    try:
        matter = front_matter(text) or {}
    except UnreadableError as error:
        return views.CardView(body_of(text), problem=f"it {error}")
    return views.CardView(body_of(text), _facts(matter, find))


def body_of(text: str) -> str:
    """Returns the Markdown below the front matter."""
    return split_card(text)[1]


def _facts(matter: Mapping[str, object], find: Finder) -> views.CardFacts:
    licenses = list(_words(matter.get("license")))
    named = next(_words(matter.get("license_name")), None)
    return views.CardFacts(
        license=named if licenses == ["other"] and named else ", ".join(licenses) or None,
        license_link=next(_words(matter.get("license_link")), None),
        base_models=tuple(views.Reference(id_, find(id_, "model")) for id_ in _words(matter.get("base_model"))),
        relation=next(_words(matter.get("base_model_relation")), None),
        datasets=tuple(views.Reference(id_, find(id_, "dataset")) for id_ in _words(matter.get("datasets"))),
        languages=tuple(_words(matter.get("language"))),
        task=", ".join(_words(matter.get("pipeline_tag") or matter.get("task_categories"))) or None,
        library=next(_words(matter.get("library_name")), None),
        tags=tuple(_words(matter.get("tags"))),
        results=tuple(_results(matter.get("model-index")))[:_MOST],
    )


def _results(index: object) -> Iterator[views.ResultRow]:
    for model in _mappings(index):
        for result in _mappings(model.get("results")):
            task, dataset = _mapping(result.get("task")), _mapping(result.get("dataset"))
            for metric in _mappings(result.get("metrics")):
                yield views.ResultRow(
                    task=_word(task.get("name") or task.get("type")),
                    dataset=_word(dataset.get("name") or dataset.get("type")),
                    metric=_word(metric.get("name") or metric.get("type")),
                    value=_number(metric.get("value")),
                )


def _number(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) and 1e-4 <= abs(value) < 1e7 else _word(value, 40)


def _words(value: object) -> Iterator[str]:
    items = value if isinstance(value, list) else [value]
    for item in items[:_MOST]:
        if isinstance(item, (str, int, float)) and str(item).strip():
            yield _word(item)


def _word(value: object, longest: int = _LONGEST) -> str:
    text = "" if value is None or isinstance(value, (list, dict)) else re.sub(r"\s+", " ", str(value)).strip()
    return text if len(text) <= longest else text[:longest] + "…"


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    return (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def first_page(call: Call) -> views.RepoView:
    """GET /[datasets/|spaces/]{id}."""
    with call.open() as (repo, git, head):
        history = list(trees.walk(git, head))
        sizes = [trees.file_facts(git, entry.oid).size for entry in trees.list_files(git, head)]
        return views.RepoView(
            place=place(call, repo, head),
            card=read_readme(call, git, head),
            files=len(sizes),
            size=sum(sizes),
            last_commit=commit_line(history[0]),
            commits=len(history),
            branches=ref_lines(git, "refs/heads"),
            tags=ref_lines(git, "refs/tags"),
            endpoint=call.endpoint,
        )


def read_readme(call: Call, git: Repo, commit: ObjectID) -> views.CardView | None:
    """Returns the card of a commit, or None if it has none."""
    content = trees.read_file(git, commit, "README.md")
    if content is None:
        return None

    def find(text: str, kind: views.RepoKind) -> str | None:
        try:
            repo = call.hub.repos.find(RepoId.parse(RepoType(kind), text))
        except ApiError:
            return None
        return f"/{repo.id.url_path}" if repo is not None and may_read(call.user, repo) else None

    return read_card(content.decode(errors="replace"), find)


def folder(call: Call) -> views.TreeView:
    """GET /[datasets/|spaces/]{id}/tree/{rev}/{path}."""
    path = call.params.get("path", "").strip("/")
    with call.open() as (repo, git, commit):
        found = trees.find_entry(git, commit, path)
        if found is None or not found.is_folder:
            raise entry_not_found(f"There is no folder {path} in {call.revision}.", commit=commit.decode())
        entries = sorted(trees.list_entries(git, found, recursive=False), key=lambda entry: not entry.is_folder)
        changes = _changes(git, commit, entries[:_MOST_ROWS])
        rows = tuple(_row(git, entry, changes.get(entry.path)) for entry in islice(entries, _MOST_ROWS))
        return views.TreeView(place(call, repo, commit), path, rows, len(entries))


def file(call: Call) -> views.FileView | Response:
    """GET /[datasets/|spaces/]{id}/blob/{rev}/{path}; of a gated repository only to those who may read it."""
    path = call.params["path"].strip("/")
    repo = call.readable()
    if path not in ALWAYS_READABLE:
        call.gated(repo)
    with call.open(repo) as (_, git, commit):
        entry = trees.find_entry(git, commit, path)
        if entry is None:
            raise entry_not_found(f"There is no file {path} in {call.revision}.", commit=commit.decode())
        if entry.is_folder:
            return RedirectResponse(f"/{repo.id.url_path}/tree/{quote(call.revision, safe='')}/{quote(path)}", 302)
        content = trees.read_blob(git, entry.oid)
        pointer = Pointer.decode(content)
        kind = _kind(path, content, pointer)
        text = content.decode() if kind in {"text", "markdown"} else ""
        plain = call.flag("plain")
        return views.FileView(
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


def _kind(path: str, content: bytes, pointer: Pointer | None) -> views.FileKind:
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


def _row(git: Repo, entry: trees.TreeEntry, change: views.CommitRow | None) -> views.FileRow:
    if entry.is_folder:
        return views.FileRow(entry.path, None, last_commit=change)
    facts = trees.file_facts(git, entry.oid)
    return views.FileRow(entry.path, facts.size, facts.pointer is not None, change)


def _changes(git: Repo, commit: ObjectID, entries: list[trees.TreeEntry]) -> dict[str, views.CommitRow]:
    found = trees.last_changes(git, commit, [entry.path for entry in entries], most=_MOST_COMMITS)
    return {path: commit_line(change) for path, change in found.items()}
