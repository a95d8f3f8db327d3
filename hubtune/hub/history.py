"""The commits behind one of a repository."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff  # type: ignore[attr-defined]

from hubtune.hub.translate import hub_answer
from hubtune.records.pins import RepoType

# The most that the Hub gives at once.
_PAGE = 1000


@dataclass(frozen=True)
class CommitLine:
    """One commit of a history; `title` is the first line of its message."""

    commit: str
    title: str
    date: datetime


def history(repo: str, commit: str, most: int, repo_type: RepoType = "model") -> list[CommitLine]:
    """Returns the commits behind one, itself first, and asks for no more than `most` of them.

    Raises:
        HubError: The repository cannot be read.
    """
    # The client's own call reads a history to its end, however long that is.
    with hub_answer(repo, commit):
        return list(islice(_commits(f"{repo_type}s/{repo}", commit, min(most, _PAGE)), most))


def _commits(place: str, commit: str, page: int) -> Iterator[CommitLine]:
    address = f"{constants.ENDPOINT}/api/{place}/commits/{quote(commit, safe='')}"
    for number in count():
        answer = http_backoff("GET", address, params={"limit": page, "p": number}, headers=build_hf_headers())
        hf_raise_for_status(answer)
        rows = answer.json()
        for row in rows:
            yield CommitLine(str(row["id"]), str(row["title"]), datetime.fromisoformat(row["date"]))
        if "next" not in answer.links:
            return
