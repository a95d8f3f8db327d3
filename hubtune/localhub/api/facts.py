"""What the Hub tells of a repository, alone or in a list."""

from collections.abc import Mapping

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo

from hubtune.documents import UnreadableError
from hubtune.localhub.api.call import Call
from hubtune.localhub.bounds import LONGEST_CARD
from hubtune.localhub.cards import card_tags
from hubtune.localhub.history import commit_date, format_date
from hubtune.localhub.ids import RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.tensors import parameter_counts
from hubtune.localhub.trees import file_facts, list_files, read_file
from hubtune.metadata.front_matter import front_matter


def repo_facts(call: Call, repo: HubRepo, git: Repo, commit: ObjectID, *, siblings: bool = True) -> dict[str, object]:
    """Returns what the Hub tells of a repository at a commit.

    Args:
        call: The request; some facts are worked out only where it asks for them.
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
