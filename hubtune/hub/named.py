"""Finds the repository that a user names on the command line: `org/name`, `datasets/org/name`, each with @REVISION."""

from dataclasses import dataclass

from hubtune.errors import RepoNotFoundError
from hubtune.hub.read import Resolved, resolve
from hubtune.records.pins import RepoType

_DATASETS = "datasets/"


@dataclass(frozen=True)
class NamedRepo:
    """A repository as it was named, and what the Hub says that this is."""

    repo: str
    type: RepoType
    requested: str
    found: Resolved


def resolve_named(text: str) -> NamedRepo:
    """Asks the Hub once which commit of which repository a user means; a model comes before a data set.

    Raises:
        HubError: There is none, or it cannot be read.
    """
    name, _, revision = text.partition("@")
    kinds: list[tuple[RepoType, str]] = [("model", name), ("dataset", name)]
    if name.startswith(_DATASETS):
        kinds = [("dataset", name.removeprefix(_DATASETS))]
    for kind, repo in kinds:
        try:
            return NamedRepo(repo, kind, revision or "main", resolve(repo, kind, revision or "main"))
        except RepoNotFoundError:
            if (kind, repo) == kinds[-1]:
                raise
    raise AssertionError("the last kind raises")
