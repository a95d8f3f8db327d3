"""How repositories are named: type, namespace and name, the URLs that follow, and redirects from earlier names."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.disk import write_durably

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")

# What an address begins with that is none of a repository.
_RESERVED = frozenset({"api", "models", "datasets", "spaces"})
REDIRECTS_FILE = "moves.json"
"""The file's name in the folder of all repositories."""

_MOVES = TypeAdapter(dict[str, str])


class RepoType(StrEnum):
    """The kinds of repositories that the Hub keeps apart."""

    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"

    @property
    def plural(self) -> str:
        """The word in API paths and in the storage folder."""
        return f"{self.value}s"

    @property
    def url_prefix(self) -> str:
        """What is in front of the id in web and download paths; models have none."""
        return "" if self is RepoType.MODEL else f"{self.plural}/"

    @classmethod
    def parse(cls, word: object) -> "RepoType":
        """Returns the type that a request's body names; a model if it names none.

        Raises:
            ApiError: 400 if there is no such type.
        """
        try:
            return cls(str(word or cls.MODEL))
        except ValueError as error:
            raise ApiError(400, f"Invalid repo type: {word}") from error

    @classmethod
    def from_plural(cls, word: str) -> "RepoType":
        """Returns the type that an API path names."""
        return cls(word.removesuffix("s"))


@dataclass(frozen=True)
class RepoId:
    """A repository's type and full name. Namespace and name compare without regard to case.

    Attributes:
        type: Model, dataset or space.
        namespace: The user or organization, or None for an id of one word.
        name: The name within the namespace.
    """

    type: RepoType
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"

    @property
    def url_path(self) -> str:
        """The path of the repository's page, without a leading slash."""
        return f"{self.type.url_prefix}{self}"

    @property
    def key(self) -> str:
        """The same text for every spelling of the same repository."""
        return f"{self.type.plural}/{self}".casefold()

    @classmethod
    def parse(cls, type_: RepoType, text: str) -> "RepoId":
        """Reads `namespace/name` or `name`.

        Raises:
            ApiError: If a part is not a name that the Hub allows.
        """
        namespace, slash, name = text.rpartition("/")
        for part in (namespace, name) if slash else (name,):
            check_name(part)
        return cls(type_, namespace if slash else None, name)


def check_new(repo_id: RepoId) -> None:
    """Refuses a new name that means something else at the beginning of the Hub's own addresses.

    Raises:
        ApiError: With status 400.
    """
    first = repo_id.namespace or repo_id.name
    if first.casefold() in _RESERVED:
        raise ApiError(400, f"Reserved repo name: {repo_id}")


def check_name(name: str) -> None:
    """Refuses a namespace or repository name that the Hub would refuse, or that could leave the storage folder.

    Raises:
        ApiError: With status 400.
    """
    if not _NAME.fullmatch(name) or "--" in name or ".." in name or name.endswith((".git", ".ipynb")):
        raise ApiError(400, f"Invalid repo name: {name}")


class Redirects:
    """The redirects from old names of repositories to new ones, in a small file.

    Args:
        path: The file; made with the first move.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, str]:
        """Returns the present name of each old one.

        Raises:
            ValueError: If the file holds something else.
        """
        try:
            return _MOVES.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}

    def target(self, repo_id: RepoId) -> RepoId | None:
        """Returns what a repository of this name is called now, or None if none was moved from there."""
        name = self.all().get(repo_id.key)
        return RepoId.parse(repo_id.type, name) if name is not None else None

    def note(self, old: RepoId, new: RepoId) -> None:
        """Writes down a move; earlier moves to the old name lead on to the new one."""
        moves = {
            key: str(new) if key.startswith(f"{old.type.plural}/") and name.casefold() == str(old).casefold() else name
            for key, name in self.all().items()
        }
        moves[old.key] = str(new)
        moves.pop(new.key, None)
        write_durably(self._path, json.dumps(moves, indent=2).encode())
