"""HTTP routes that list repositories: all that the user may see, filtered, sorted and paged."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlencode

from dulwich.objects import ObjectID
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.repo_routes import asked_fields, repo_facts, used_storage
from hubtune.localhub.api_errors import ApiError, forbidden
from hubtune.localhub.ids import RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import MAIN, read_ref

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
