"""Reads of the Hub that name a repository: what a revision means, and who is asking."""

from dataclasses import dataclass
from typing import Literal

from huggingface_hub import HfApi, constants

from hubtune.hub.translate import hub_errors
from hubtune.records.pins import RepoType


@dataclass(frozen=True)
class Resolved:
    """A repository at one commit, as the Hub describes it.

    Attributes:
        commit: 40 hexadecimal digits.
        license: What the card's front matter states; None where it states nothing.
        files: Path of each file to its size in bytes (0 where the Hub does not tell).
    """

    commit: str
    license: str | list[str] | None
    gated: Literal[False, "auto", "manual"]
    files: dict[str, int]


@dataclass(frozen=True)
class Identity:
    """Who a token belongs to, and what it may do in general.

    Attributes:
        role: `write`, `read`, `pr` (may propose changes only), or `fineGrained`.
        anywhere: Whether it may write to every namespace, as on an embedded Hub without an auth file.
    """

    name: str
    orgs: frozenset[str]
    role: str
    anywhere: bool = False

    def may_write_to(self, namespace: str) -> bool:
        """Whether a write to `namespace` is not ruled out: fine-grained tokens are only known when they are used."""
        own = {self.name.lower(), *(org.lower() for org in self.orgs)}
        return self.role not in ("read", "pr") and (self.anywhere or namespace.lower() in own)

    @property
    def may_propose(self) -> bool:
        """Whether opening a pull request is not ruled out."""
        return self.role != "read"


def resolve(repo: str, repo_type: RepoType, revision: str) -> Resolved:
    """Asks the Hub which commit `revision` means, and what the repository states there.

    Raises:
        HubError: One of its subclasses says why not (no such repository or revision, gated, not reachable).
    """
    with hub_errors(repo, revision):
        read = HfApi().model_info if repo_type == "model" else HfApi().dataset_info
        info = read(repo, revision=revision, files_metadata=True)
    license_id = info.card_data.get("license") if info.card_data else None
    return Resolved(
        commit=str(info.sha),
        license=license_id if isinstance(license_id, str | list) and license_id else None,
        gated=info.gated if info.gated in ("auto", "manual") else False,
        files={sibling.rfilename: sibling.size or 0 for sibling in info.siblings or []},
    )


def check_access(repo: str, repo_type: RepoType) -> None:
    """Asks the Hub whether the files of a gated repository may be fetched: its description is open to all.

    Raises:
        GatedRepoError: There is no token, or its account has not been granted access.
    """
    with hub_errors(repo):
        HfApi().auth_check(repo, repo_type=repo_type)


def whoami() -> Identity:
    """Asks the Hub who the token belongs to.

    Raises:
        MissingTokenError: There is no token.
        InvalidTokenError: The Hub does not accept it.
    """
    with hub_errors():
        answer = HfApi().whoami()
    token = (answer.get("auth") or {}).get("accessToken") or {}
    return Identity(
        name=str(answer["name"]),
        orgs=frozenset(str(org["name"]) for org in answer.get("orgs", [])),
        role=str(token.get("role", "")),
        anywhere=answer.get("canWriteAnywhere") is True,
    )


@dataclass(frozen=True)
class Refs:
    """The branches and tags of a repository at one moment, each with the commit that it is on."""

    branches: dict[str, str]
    tags: dict[str, str]


def list_refs(repo: str) -> Refs:
    """Returns the branches and tags of a model repository.

    Raises:
        RepoNotFoundError: There is no such repository.
    """
    with hub_errors(repo):
        refs = HfApi().list_repo_refs(repo)
    return Refs(
        branches={ref.name: ref.target_commit for ref in refs.branches},
        tags={ref.name: ref.target_commit for ref in refs.tags},
    )


def find_tag(repo: str, tag: str) -> str | None:
    """Returns the commit that `tag` is on in a model repository, or None where there is no such tag.

    Raises:
        RepoNotFoundError: There is no such repository.
    """
    return list_refs(repo).tags.get(tag)


def is_private(repo: str) -> bool:
    """Whether a model repository is one.

    Raises:
        RepoNotFoundError: There is no such repository.
    """
    with hub_errors(repo):
        return HfApi().model_info(repo, expand=["private"]).private is True


def repo_url(repo: str, revision: str, repo_type: RepoType = "model") -> str:
    """Returns the address of a repository's page at a revision, on the Hub that is in use."""
    prefix = "datasets/" if repo_type == "dataset" else ""
    return f"{constants.ENDPOINT}/{prefix}{repo}/tree/{revision}"
