"""Making, removing and describing repositories."""

import json
from collections.abc import Mapping

import yaml
from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo
from starlette.responses import JSONResponse, Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.cards import card_tags, front_matter
from hubtune.localhub.errors import ApiError
from hubtune.localhub.history import commit_date, format_date
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.trees import file_facts, list_files, read_file


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    body = call.json()
    user = call.signed_in()
    repo_id = _named(call, body)
    if not user.may_write(repo_id):
        raise ApiError(
            403,
            f'You don\'t have the rights to create a {repo_id.type} under the namespace "{repo_id.namespace}"',
        )
    private = body.get("visibility") == "private" or body.get("private") is True
    sdk = body.get("sdk")
    repo = call.hub.repos.create(repo_id, author=user.name, private=private, sdk=sdk if isinstance(sdk, str) else None)
    if repo is None:
        existing = call.readable(repo_id)
        raise ApiError(
            409,
            f"You already created this {repo_id.type} repo: {existing.id}",
            fields={"url": call.url(existing.id.url_path)},
        )
    return JSONResponse({"url": call.url(repo.id.url_path), "name": str(repo.id), "id": str(repo.id)})


def delete(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    repo = call.readable(_named(call, call.json()))
    user = call.signed_in()
    if not user.may_write(repo.id):
        raise ApiError(403, f"You don't have the rights to delete the {repo.id.type} {repo.id}")
    call.hub.repos.delete(repo)
    return Response("OK", media_type="text/plain")


def info(call: Call) -> Response:
    """GET /api/T/{id} and /api/T/{id}/revision/{rev}."""
    with call.open() as (repo, git, commit):
        facts = _facts(call, repo, git, commit)
    wanted = [*call.query.getlist("expand"), *call.query.getlist("expand[]")]
    if wanted:
        facts = {key: value for key, value in facts.items() if key in {"id", *wanted}}
    # A card's front matter may hold dates, which JSON has no type for.
    return Response(json.dumps(facts, default=str), media_type="application/json")


def _named(call: Call, body: Mapping[str, object]) -> RepoId:
    try:
        type_ = RepoType(str(body.get("type") or "model"))
    except ValueError as error:
        raise ApiError(400, f"Invalid repo type: {body.get('type')}") from error
    name = str(body.get("name") or "")
    namespace = body.get("organization") or call.signed_in().name
    text = name if "/" in name else f"{namespace}/{name}"
    call.note.repo, call.note.type = text, type_.value
    return RepoId.parse(type_, text)


def _facts(call: Call, repo: HubRepo, git: Repo, commit: ObjectID) -> dict[str, object]:
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
        "tags": card_tags(repo.id.type, card),
        "siblings": list(_siblings(call, git, commit)),
    }
    if card:
        facts["cardData"] = card
    if repo.id.type is RepoType.MODEL:
        facts["modelId"] = str(repo.id)
        facts |= {key: card[key] for key in ("pipeline_tag", "library_name") if key in card}
    if repo.settings.sdk:
        facts["sdk"] = repo.settings.sdk
    if call.flag("securityStatus"):
        facts["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    return facts


def _card(git: Repo, commit: ObjectID) -> Mapping[str, object]:
    try:
        readme = read_file(git, commit, "README.md") or b""
        return front_matter(readme.decode(errors="replace")) or {}
    except yaml.YAMLError:
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
