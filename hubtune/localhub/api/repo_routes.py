"""HTTP routes of repositories: making, copying, moving, configuring, describing, removing, and listing them."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlencode

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from hubtune.documents import UnreadableError
from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api_errors import LONGEST_CARD, LONGEST_LINE, ApiError, check_length, forbidden, repo_not_found
from hubtune.localhub.ids import RepoId, RepoType, check_new
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import MAIN, read_ref
from hubtune.localhub.trees import (
    card_tags,
    commit_date,
    file_facts,
    format_date,
    list_files,
    parameter_counts,
    read_file,
)
from hubtune.metadata.front_matter import front_matter

_SDKS = ("gradio", "streamlit", "docker", "static")


def repo_facts(call: Call, repo: HubRepo, git: Repo, commit: ObjectID, *, siblings: bool = True) -> dict[str, object]:
    """Returns what the Hub tells of a repository at a commit.

    Args:
        call: The request; some facts are computed only if it asks for them.
        repo: The repository.
        git: The same, opened.
        commit: The commit.
        siblings: Whether to list its files.
    """
    card = _card(git, commit)
    head = git[commit]
    facts: dict[str, object] = {
        "_id": str(repo.id),
        "id": str(repo.id),
        "author": repo.id.namespace,
        "sha": commit.decode(),
        "lastModified": commit_date(head) if isinstance(head, Commit) else None,
        "createdAt": format_date(repo.settings.created),
        "private": repo.settings.private,
        "gated": repo.settings.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "trendingScore": 0,
        "tags": card_tags(repo.id.type, card),
    }
    if siblings:
        facts["siblings"] = _siblings(call, git, commit)
    if "usedStorage" in asked_fields(call):
        facts["usedStorage"] = used_storage(git, commit)
    if card:
        facts["cardData"] = card
    if repo.id.type is RepoType.MODEL:
        facts["modelId"] = str(repo.id)
        facts |= {key: card[key] for key in ("pipeline_tag", "library_name") if key in card}
        # Of whole lists this is asked by those alone who wait for it.
        if siblings or "safetensors" in asked_fields(call):
            counts = parameter_counts(git, commit, call.hub.large_files_of(repo))
            facts |= {} if counts is None else {"safetensors": counts}
    if repo.settings.sdk:
        facts["sdk"] = repo.settings.sdk
    if repo.settings.description:
        facts["description"] = repo.settings.description
    if call.flag("securityStatus"):
        facts["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    return facts


def asked_fields(call: Call) -> list[str]:
    """Returns the fields to which the client limits the answer; empty for all of them."""
    return [*call.query.getlist("expand"), *call.query.getlist("expand[]")]


def _card(git: Repo, commit: ObjectID) -> Mapping[str, object]:
    readme = read_file(git, commit, "README.md") or b""
    try:
        # A longer one is older than the bound, and would be read again for each list.
        return front_matter(readme[:LONGEST_CARD].decode(errors="replace")) or {}
    except UnreadableError:
        return {}


def _siblings(call: Call, git: Repo, commit: ObjectID) -> list[dict[str, object]]:
    siblings: list[dict[str, object]] = []
    for entry in list_files(git, commit):
        sibling: dict[str, object] = {"rfilename": entry.path}
        if call.flag("blobs"):
            facts = file_facts(git, entry.oid)
            sibling |= {"size": facts.size, "blobId": entry.oid}
            if facts.pointer:
                sibling["lfs"] = {
                    "sha256": facts.pointer.sha256,
                    "size": facts.size,
                    "pointerSize": len(facts.pointer.encode()),
                }
        siblings.append(sibling)
    return siblings


def used_storage(git: Repo, commit: ObjectID) -> int:
    """Returns the size of a commit's files in bytes."""
    return sum(file_facts(git, entry.oid).size for entry in list_files(git, commit))


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    body = call.json()
    user = call.signed_in()
    repo_id = _named(call, body)
    check_new(repo_id)
    if not user.may_write(repo_id):
        raise _no_namespace(repo_id)
    private = body.get("visibility") == "private" or body.get("private") is True
    sdk = body.get("sdk")
    if sdk is not None and sdk not in _SDKS:
        raise ApiError(400, f'"sdk" must be one of [{", ".join(_SDKS)}]')
    repo = call.hub.repos.create(repo_id, author=user.name, private=private, sdk=str(sdk) if sdk else None)
    if repo is None:
        raise _taken(call, repo_id)
    return JSONResponse(_named_facts(call, repo))


def duplicate(call: Call) -> Response:
    """POST /api/T/{id}/duplicate: a copy of a repository that the user may read, under another name."""
    repo = call.gated(call.readable())
    body = call.json()
    to = RepoId.parse(repo.id.type, str(body.get("repository") or ""))
    check_new(to)
    if not call.signed_in().may_write(to):
        raise _no_namespace(to)
    private = _is_private(body["visibility"]) if "visibility" in body else None
    made = call.hub.repos.duplicate(repo, to, private=private)
    if made is None:
        raise _taken(call, to)
    # All repositories share one store of large files, so there is nothing left to copy.
    return JSONResponse(_named_facts(call, made) | {"filesCopyPending": False})


def delete(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    repo = _present(call, _named(call, call.json()))
    if not call.signed_in().may_write(repo.id):
        raise ApiError(403, f"You don't have the rights to delete the {repo.id.type} {repo.id}")
    call.hub.repos.delete(repo)
    return Response("OK", media_type="text/plain")


def move(call: Call) -> Response:
    """POST /api/repos/move: another name, another namespace, or both."""
    body = call.json()
    repo = _present(call, _named(call, {"type": body.get("type"), "name": body.get("fromRepo")}))
    to = RepoId.parse(repo.id.type, str(body.get("toRepo") or ""))
    check_new(to)
    user = call.signed_in()
    if not (user.may_write(repo.id) and user.may_write(to)):
        raise ApiError(403, f"You don't have the rights to move the {repo.id.type} {repo.id} to {to}")
    moved = call.hub.repos.move(repo, to)
    if moved is None:
        raise ApiError(409, f"A {to.type} repository called {to} already exists", fields={"url": call.url(to.url_path)})
    return JSONResponse(_named_facts(call, moved))


def settings(call: Call) -> Response:
    """PUT /api/T/{id}/settings: answers with what was changed."""
    repo = call.writable()
    body = call.json()
    changes = {key: body[key] for key in ("private", "gated", "description") if key in body}
    if isinstance(body.get("description"), str):
        check_length(str(body["description"]), "description", LONGEST_LINE)
    if "visibility" in body:
        changes["private"] = _is_private(body["visibility"])
    try:
        call.hub.repos.configure(repo, changes)
    except ValidationError as error:
        raise ApiError(400, f"* Invalid input * at {error.errors()[0]['loc'][0]}") from error
    return JSONResponse(changes)


def info(call: Call) -> Response:
    """GET /api/T/{id} and /api/T/{id}/revision/{rev}."""
    with call.open() as (repo, git, commit):
        facts = repo_facts(call, repo, git, commit)
    wanted = asked_fields(call)
    if wanted:
        facts = {key: value for key, value in facts.items() if key in {"id", *wanted}}
    # A card's front matter may hold dates, which JSON has no type for.
    return Response(json.dumps(facts, default=str), media_type="application/json")


def _named_facts(call: Call, repo: HubRepo) -> dict[str, object]:
    return {"url": call.url(repo.id.url_path), "name": str(repo.id), "id": str(repo.id)}


def _no_namespace(repo_id: RepoId) -> ApiError:
    told = f'You don\'t have the rights to create a {repo_id.type} under the namespace "{repo_id.namespace}"'
    return ApiError(403, told)


def _taken(call: Call, repo_id: RepoId) -> ApiError:
    existing = call.readable(repo_id)
    told = f"You already created this {repo_id.type} repo: {existing.id}"
    return ApiError(409, told, fields={"url": call.url(existing.id.url_path)})


def _named(call: Call, body: Mapping[str, object]) -> RepoId:
    type_ = RepoType.parse(body.get("type"))
    name = str(body.get("name") or "")
    namespace = body.get("organization") or call.signed_in().name
    text = name if "/" in name else f"{namespace}/{name}"
    call.note.repo, call.note.type = text, type_.value
    return RepoId.parse(type_, text)


def _present(call: Call, repo_id: RepoId) -> HubRepo:
    # An old name of a repository that was moved must not be enough to delete or to move it again.
    repo = call.hub.repos.find_exactly(repo_id)
    if repo is None or not may_read(call.user, repo):
        raise repo_not_found(anonymous=call.user is None)
    return repo


def _is_private(visibility: object) -> bool:
    if not isinstance(visibility, str) or visibility not in {"private", "public"}:
        raise ApiError(400, "* Invalid input * at visibility")
    return visibility == "private"


_SORTS = ("createdAt", "lastModified", "downloads", "likes", "trendingScore")
_BRIEF = (
    "_id", "id", "modelId", "author", "private", "gated", "downloads", "likes", "trendingScore", "tags",
    "pipeline_tag", "library_name", "sdk", "description", "createdAt", "lastModified", "sha", "disabled",
)  # fmt: skip
_MOST = 1000
_Row = dict[str, object]


def next_link(call: Call, more: dict[str, str] | None) -> dict[str, str]:
    """Returns the header that leads to the next page: the same request with other parameters.

    Args:
        call: The request.
        more: The parameters to change, or None on the last page.
    """
    if more is None:
        return {}
    kept = [(key, value) for key, value in call.query.multi_items() if key not in more]
    path = call.note.path.partition("?")[0].lstrip("/")
    return {"Link": f'<{call.url(path)}?{urlencode([*kept, *more.items()])}>; rel="next"'}


def offset_page(call: Call, rows: Sequence[object], *, default: int, most: int) -> Response:
    """Returns the page of a list that the request's `limit` and `cursor` name; the cursor counts rows."""
    limit = call.number("limit", default, most=most)
    start = call.number("cursor", 0, least=0, most=len(rows))
    more = {"cursor": str(start + limit)} if len(rows) > start + limit else None
    return JSONResponse(rows[start : start + limit], headers=next_link(call, more))


def listed(call: Call) -> Response:
    """GET /api/models, /api/datasets and /api/spaces."""
    sort = call.query.get("sort") or "createdAt"
    if sort not in _SORTS:
        raise ApiError(400, f"Invalid sort: {sort}")
    rows = sorted(_matching(call), key=lambda row: _place(row, sort), reverse=call.query.get("direction") != "1")
    start = _after(call, rows, sort)
    limit = call.number("limit", _MOST, most=_MOST)
    page = rows[start : start + limit]
    more = {"cursor": _cursor(page[-1], sort)} if len(rows) > start + limit else None
    content = json.dumps([_shown(call, row) for row in page], default=str)
    return Response(content, media_type="application/json", headers=next_link(call, more))


def tags_by_type(call: Call) -> Response:
    """GET /api/models-tags-by-type and /api/datasets-tags-by-type: the tags in use, under their prefixes."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in _matching(call):
        for tag in _strings(row["tags"]):
            prefix, colon, label = tag.partition(":")
            kind, label = (prefix, label) if colon else ("other", tag)
            found.setdefault(kind, {})[tag] = {"id": tag, "label": label, "type": kind}
    return JSONResponse({kind: list(tags.values()) for kind, tags in found.items()})


def owned(call: Call) -> Response:
    """GET /api/settings/repositories, and the same below /api/organizations/{namespace}: with the storage used."""
    user = call.signed_in()
    namespace = call.params.get("namespace", user.name)
    if not user.belongs_to(namespace):
        raise forbidden()

    def row(repo: HubRepo, git: Repo, head: ObjectID) -> _Row | None:
        if (repo.id.namespace or "").casefold() != namespace.casefold():
            return None
        facts = repo_facts(call, repo, git, head, siblings=False)
        return {
            "id": str(repo.id),
            "type": repo.id.type.value,
            "updatedAt": facts["lastModified"],
            "visibility": "private" if repo.settings.private else "public",
            "storage": used_storage(git, head),
            "storagePercent": 0,
        }

    rows = [found for type_ in RepoType for found in _each_visible(call, type_, row)]
    return offset_page(call, rows, default=_MOST, most=_MOST)


def _each_visible(call: Call, type_: RepoType, row: Callable[[HubRepo, Repo, ObjectID], _Row | None]) -> Iterator[_Row]:
    for repo in call.hub.repos.list(type_):
        if not may_read(call.user, repo):
            continue
        try:
            with repo.git() as git:
                head = read_ref(git, MAIN)
                found = None if head is None else row(repo, git, head)
        except ApiError as error:
            if error.code != "RepoNotFound":
                raise
            # Deleted or moved meanwhile.
            continue
        if found is not None:
            yield found


def _matching(call: Call) -> Iterator[_Row]:
    author = call.query.get("author", "").casefold()
    words = [word.casefold() for text in call.query.getlist("search") for word in text.split()]
    tags = {tag for text in call.query.getlist("filter") for tag in text.split(",") if tag}
    if call.query.get("pipeline_tag"):
        tags.add(call.query["pipeline_tag"])
    gated = call.query.get("gated", "").lower()
    siblings = call.flag("full") or "siblings" in asked_fields(call)

    def row(repo: HubRepo, git: Repo, head: ObjectID) -> _Row | None:
        name = str(repo.id).casefold()
        if (
            (author and (repo.id.namespace or "").casefold() != author)
            or any(word not in name for word in words)
            or (gated and (gated == "true") != bool(repo.settings.gated))
        ):
            return None
        facts = repo_facts(call, repo, git, head, siblings=siblings)
        return facts if tags <= set(_strings(facts["tags"])) else None

    return _each_visible(call, call.repo_type, row)


def _shown(call: Call, row: _Row) -> _Row:
    wanted = asked_fields(call)
    if wanted:
        return {key: value for key, value in row.items() if key in {"_id", "id", *wanted}}
    extra = ["siblings", "cardData"] if call.flag("full") else ["cardData"] if call.flag("cardData") else []
    return {key: value for key, value in row.items() if key in {*_BRIEF, *extra}}


def _place(row: Mapping[str, object], sort: str) -> tuple[str, str]:
    value = row[sort]
    # Numbers are written with zeros in front, so that text compares as they do.
    return (f"{value:020}" if isinstance(value, int) else str(value)), str(row["id"])


def _cursor(row: Mapping[str, object], sort: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(row, sort)).encode()).decode()


def _after(call: Call, rows: Sequence[_Row], sort: str) -> int:
    """Returns where the page starts: behind the row that the last page ended with, even if that is gone by now."""
    cursor = call.query.get("cursor")
    if not cursor:
        return 0
    try:
        value, name = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError, RecursionError) as error:
        raise ApiError(400, "Invalid cursor") from error
    last = (str(value), str(name))
    ascending = call.query.get("direction") == "1"
    return sum(_place(row, sort) <= last if ascending else _place(row, sort) >= last for row in rows)


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
