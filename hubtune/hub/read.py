"""Reads what a Hub says about a repository: the commits of revisions, refs, history, and the current user.

`hubtune.hub.repo_files` reads files, and `hubtune.hub.snapshot` downloads them to the cache.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, islice
from typing import Literal
from urllib.parse import quote

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import hf_raise_for_status, http_backoff

from hubtune.errors import AmbiguousRevisionError, RepoNotFoundError
from hubtune.hub.repo_files import require_safe_names
from hubtune.hub.translate import hub_answer
from hubtune.records.base import RepoType

# The most that the Hub gives at once.
_PAGE = 1000
_DIGEST = re.compile(r"[0-9a-fA-F]{40}")
_MAIN = "main"
_PREFIX = re.compile(r"[0-9a-fA-F]{7,39}")
# Commits of a branch, and branches, that are searched for one whose digits are a name.
_SEARCHED = 1000
_SEARCHED_BRANCHES = 10
_DATASETS = "datasets/"


@dataclass(frozen=True)
class CommitLine:
    """One commit of a history; `title` is the first line of its message."""

    commit: str
    title: str
    date: datetime


def history(repo: str, commit: str, most: int, repo_type: RepoType = "model") -> list[CommitLine]:
    """Returns a commit and its ancestors, newest first, at most `most`.

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


@dataclass(frozen=True)
class Resolved:
    """A repository at one commit, as the Hub describes it.

    Attributes:
        commit: 40 hexadecimal digits.
        license: What the card's front matter states; None if it states nothing.
        files: Path of each file to its size in bytes (0 if the Hub does not tell).
    """

    commit: str
    license: str | list[str] | None
    gated: Literal[False, "auto", "manual"]
    files: dict[str, int]


@dataclass(frozen=True)
class Identity:
    """The owner of a token, and what it may do in general.

    Attributes:
        role: `write`, `read`, `pr` (may propose changes only), or `fineGrained`.
        anywhere: Whether it may write to every namespace, as on an embedded Hub without an auth file.
    """

    name: str
    orgs: frozenset[str]
    role: str
    anywhere: bool = False

    def may_write_to(self, namespace: str) -> bool:
        """Whether a write to `namespace` may be allowed; for fine-grained tokens, only the write itself shows it."""
        own = {self.name.lower(), *(org.lower() for org in self.orgs)}
        return self.role not in ("read", "pr") and (self.anywhere or namespace.lower() in own)

    @property
    def may_propose(self) -> bool:
        """Whether opening a pull request may be allowed."""
        return self.role != "read"


def resolve(repo: str, repo_type: RepoType, revision: str) -> Resolved:
    """Returns the commit that `revision` resolves to, and what the repository states there.

    Raises:
        AmbiguousRevisionError: It means two commits.
        HubError: One of its subclasses says why not (no such repository or revision, gated, not reachable).
    """
    with hub_answer(repo, revision):
        read = HfApi().model_info if repo_type == "model" else HfApi().dataset_info
        info = read(repo, revision=revision, files_metadata=True)
        commit = _commit(info.sha)
        files = {str(sibling.rfilename): int(sibling.size or 0) for sibling in info.siblings or []}
    require_safe_names(repo, files)
    _require_one_meaning(repo, repo_type, revision, commit)
    license_id = info.card_data.get("license") if info.card_data else None
    return Resolved(
        commit=commit,
        license=license_id if isinstance(license_id, str | list) and license_id else None,
        gated=info.gated if info.gated in ("auto", "manual") else False,
        files=files,
    )


def check_access(repo: str, repo_type: RepoType) -> None:
    """Checks that the files of a gated repository can be downloaded; everyone can read its description.

    Raises:
        GatedRepoError: There is no token, or its account has not been granted access.
    """
    with hub_answer(repo):
        HfApi().auth_check(repo, repo_type=repo_type)


def whoami() -> Identity:
    """Returns the owner of the token.

    Raises:
        MissingTokenError: There is no token.
        InvalidTokenError: The Hub does not accept it.
    """
    with hub_answer():
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
    """The branches and tags of a repository at one moment, each with the commit that it is on.

    Attributes:
        converts: The branches that the Hub makes by itself, such as `parquet`.
    """

    branches: dict[str, str]
    tags: dict[str, str]
    converts: dict[str, str] = field(default_factory=dict)

    def meanings(self, name: str) -> dict[str, str]:
        """Returns all meanings of `name` except a commit's digits: a description of each, and its commit."""
        refs = {
            **{f"refs/heads/{short}": (f"the branch {short}", commit) for short, commit in self.branches.items()},
            **{f"refs/tags/{short}": (f"the tag {short}", commit) for short, commit in self.tags.items()},
            **{f"refs/convert/{short}": (f"the ref refs/convert/{short}", at) for short, at in self.converts.items()},
        }
        return dict(refs[ref] for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}") if ref in refs)


def list_refs(repo: str, repo_type: RepoType = "model") -> Refs:
    """Returns the branches and tags of a repository.

    Raises:
        RepoNotFoundError: There is no such repository.
    """
    with hub_answer(repo):
        refs = HfApi().list_repo_refs(repo, repo_type=repo_type)
        return Refs(
            branches={ref.name: _commit(ref.target_commit) for ref in refs.branches},
            tags={ref.name: _commit(ref.target_commit) for ref in refs.tags},
            converts={ref.name: _commit(ref.target_commit) for ref in refs.converts},
        )


def _commit(value: object) -> str:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise ValueError(f"{value!r} in place of a commit")
    return value


def require_readers_get(repo: str, tag: str, commit: str) -> None:
    """Requests a release as its users do, by the name of its tag: the repository, and a file.

    Raises:
        AmbiguousRevisionError: They get another commit, or a branch may give them one at any time.
        RevisionNotFoundError: They get nothing, at least not yet.
    """
    refuse_branch_named(repo, tag, list_refs(repo))
    with hub_answer(repo, tag):
        info = HfApi().model_info(repo, revision=tag)
        found = {f"the files of {tag}": str(info.sha)}
        if info.siblings:
            file = info.siblings[0].rfilename
            at = get_hf_file_metadata(hf_hub_url(repo, file, revision=tag)).commit_hash
            found[f"{file} of {tag}"] = str(at)
    if set(found.values()) != {commit}:
        raise AmbiguousRevisionError(
            f"Readers who ask for {tag} of {repo} get another commit than that of the release, {commit}.",
            details=[f"{words}: {at}" for words, at in found.items()],
            hint=f"Look for another branch or tag of that name; until it is renamed, readers have to ask for {commit}.",
        )


def _require_one_meaning(repo: str, repo_type: RepoType, name: str, commit: str) -> None:
    """Refuses a name that the Hub takes for one commit, and others may take for another."""
    if _DIGEST.fullmatch(name):
        # What is pinned by its digits asks for nothing more, except what came to be them.
        if name.lower() != commit:
            raise _ambiguous(repo, name, {"the commit of these digits": name, "what the Hub gives": commit})
        return
    if name == _MAIN:
        # What a client gets that names no revision. An input is asked for once by it, and its commit is recorded: to
        # list the refs too would be a second request for what may have moved since.
        return
    refs = list_refs(repo, repo_type)
    meanings = refs.meanings(name)
    if _PREFIX.fullmatch(name) and meanings:
        known = [*refs.branches.values(), *refs.tags.values()]
        for head in dict.fromkeys([commit, *list(refs.branches.values())[:_SEARCHED_BRANCHES]]):
            known += [line.commit for line in history(repo, head, _SEARCHED, repo_type)]
        of_digits = next((found for found in known if found.startswith(name.lower())), None)
        meanings |= {} if of_digits is None else {"the commit that begins with these digits": of_digits}
    if len(set(meanings.values())) > 1:
        raise _ambiguous(repo, name, meanings)


def _ambiguous(repo: str, name: str, meanings: dict[str, str]) -> AmbiguousRevisionError:
    return AmbiguousRevisionError(
        f"{name} of {repo} has two meanings, and nobody can tell which one readers get.",
        details=[f"{words}: {commit}" for words, commit in meanings.items()],
        hint="Give the commit that you mean, all 40 digits, or have the owner rename one of the two.",
    )


def refuse_branch_named(repo: str, tag: str, refs: Refs) -> None:
    """Checks that only the tag of a release has its name.

    Raises:
        AmbiguousRevisionError: A branch does, which many readers would get in the tag's place.
    """
    if tag in refs.branches:
        tagged = refs.tags.get(tag)
        raise AmbiguousRevisionError(
            f"{repo} has a branch called {tag}: readers who ask for {tag} get it, or may get it later, in place of the "
            "release.",
            details=[f"the branch {tag}: {refs.branches[tag]}", *([f"the tag {tag}: {tagged}"] if tagged else [])],
            hint=f"Delete or rename the branch (hf repos branch delete {repo} {tag}), or choose another tag.",
        )


def refuse_tag_named(repo: str, branch: str, refs: Refs) -> None:
    """Checks that a new branch does not have the name of a tag.

    Raises:
        AmbiguousRevisionError: It does: many readers of the tag would get the branch.
    """
    if branch in refs.tags and branch not in refs.branches:
        raise AmbiguousRevisionError(
            f"{repo} has a tag called {branch}: readers who ask for it could get a branch of that name instead.",
            details=[f"the tag {branch}: {refs.tags[branch]}"],
            hint="Choose another branch.",
        )


def find_tag(repo: str, tag: str) -> str | None:
    """Returns the commit that `tag` is on in a model repository, or None if there is no such tag.

    Raises:
        RepoNotFoundError: There is no such repository.
    """
    return list_refs(repo).tags.get(tag)


def is_private(repo: str, repo_type: RepoType = "model") -> bool:
    """Whether a repository is private.

    Raises:
        RepoNotFoundError: There is no such repository.
    """
    with hub_answer(repo):
        if repo_type == "dataset":
            return HfApi().dataset_info(repo, expand=["private"]).private is True
        return HfApi().model_info(repo, expand=["private"]).private is True


def repo_url(repo: str, revision: str, repo_type: RepoType = "model") -> str:
    """Returns the address of a repository's page at a revision, on the Hub that is in use."""
    prefix = "datasets/" if repo_type == "dataset" else ""
    return f"{constants.ENDPOINT}/{prefix}{repo}/tree/{revision}"


@dataclass(frozen=True)
class NamedRepo:
    """A repository as the user named it, and as the Hub describes it."""

    repo: str
    type: RepoType
    requested: str
    found: Resolved


def resolve_named(text: str) -> NamedRepo:
    """Resolves a repository and revision that a user names, with one request; a model comes before a dataset.

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
