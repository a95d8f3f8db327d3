"""The branches and tags of a model repository, and the commits behind them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from urllib.parse import quote

from huggingface_hub import HfApi, constants
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff  # type: ignore[attr-defined]

from hubtune.hub.translate import hub_errors

# The most that the Hub gives at once.
_PAGE = 1000


@dataclass(frozen=True)
class Refs:
    """The names of a repository's commits, as one answer of the Hub has them.

    Attributes:
        branches: Name to commit; the main branch is `main`.
        tags: Name to commit.
    """

    branches: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True)
class CommitLine:
    """One commit of a history; `title` is the first line of its message."""

    commit: str
    title: str
    date: datetime


def list_refs(repo: str) -> Refs:
    """Asks the Hub for all branches and tags.

    Raises:
        HubError: The repository cannot be read.
    """
    with hub_errors(repo):
        refs = HfApi().list_repo_refs(repo)
    return Refs(
        branches={ref.name: ref.target_commit for ref in refs.branches},
        tags={ref.name: ref.target_commit for ref in refs.tags},
    )


def history(repo: str, commit: str, most: int) -> list[CommitLine]:
    """Returns the commits behind one, itself first, and asks for no more than `most` of them.

    Raises:
        HubError: The repository cannot be read.
    """
    # The client's own call reads a history to its end, however long that is.
    with hub_errors(repo, commit):
        return list(islice(_commits(repo, commit, min(most, _PAGE)), most))


def _commits(repo: str, commit: str, page: int) -> Iterator[CommitLine]:
    address = f"{constants.ENDPOINT}/api/models/{repo}/commits/{quote(commit, safe='')}"
    for number in count():
        answer = http_backoff("GET", address, params={"limit": page, "p": number}, headers=build_hf_headers())
        hf_raise_for_status(answer)
        rows = answer.json()
        for row in rows:
            yield CommitLine(str(row["id"]), str(row["title"]), datetime.fromisoformat(row["date"]))
        if "next" not in answer.links:
            return
