"""Writes to a model or data set repository: create it, commit to it on a known parent, tag a commit."""

from collections.abc import Collection, Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from packaging.version import Version

from hubtune.errors import CardError, PublishConflictError, TagExistsError
from hubtune.hub.read import find_tag
from hubtune.hub.translate import hub_errors
from hubtune.records.pins import RepoType


def create_repo(repo: str, repo_type: RepoType = "model", *, private: bool = False) -> None:
    """Creates the repository unless it exists; an existing one keeps its visibility.

    Raises:
        PermissionDeniedError: The token may not.
    """
    with hub_errors(repo):
        HfApi().create_repo(repo, repo_type=repo_type, private=private, exist_ok=True)


def commit(
    repo: str,
    files: Mapping[str, Path | bytes],
    *,
    parent: str,
    message: str,
    delete: Collection[str] = (),
    repo_type: RepoType = "model",
    branch: str = "main",
) -> str:
    """Makes one commit on a branch, only if `parent` is its head.

    Args:
        repo: The repository's id.
        files: Path in the repository to the content, or to the local file that holds it.
        parent: The 40-hex commit that the change was planned on.
        message: First line of the commit's message.
        delete: Paths to take out.
        repo_type: Model or data set.
        branch: An existing branch.

    Returns:
        The new commit; `parent` when nothing would have changed.

    Raises:
        PublishConflictError: The branch has moved on from `parent`.
        CardError: The Hub does not accept README.md. Nothing was sent.
        HubError: Any other failure. Whether the commit was made is then open, until the history is looked at.
    """
    operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        *(CommitOperationAdd(path, content) for path, content in sorted(files.items())),
        *(CommitOperationDelete(path, is_folder=False) for path in sorted(delete)),
    ]
    with hub_errors(repo):
        try:
            made = HfApi().create_commit(
                repo, operations, repo_type=repo_type, commit_message=message, parent_commit=parent, revision=branch
            )
        except HfHubHTTPError as error:
            if error.response.status_code == 412:
                raise PublishConflictError(
                    f"{repo} has changed since the release was planned: its head is not {parent} any more.",
                    hint="Run the same command again: it plans anew on the new head.",
                ) from error
            raise
        except ValueError as error:
            # The client asks the Hub to validate README.md before it sends anything.
            if "Invalid metadata in README.md" not in str(error):
                raise
            first, *faults = str(error).splitlines()
            raise CardError(
                f"The Hub does not accept the card: {first}",
                details=[fault.removeprefix("- ") for fault in faults if fault],
                hint="Nothing was uploaded. Correct what the card states, then run the command again.",
            ) from error
    return str(made.oid)


def create_branch(repo: str, branch: str, on: str) -> None:
    """Makes a branch of a model repository that begins at the commit `on`, unless there is one of that name."""
    with hub_errors(repo, on):
        HfApi().create_branch(repo, branch=branch, revision=on, exist_ok=True)


def delete_branch(repo: str, branch: str) -> None:
    """Takes a branch away; what a tag leads to stays."""
    with hub_errors(repo, branch):
        HfApi().delete_branch(repo, branch=branch)


def create_tag(repo: str, tag: str, on: str) -> None:
    """Puts `tag` on the commit `on`; a tag is never moved.

    Raises:
        TagExistsError: The tag is on another commit.
    """
    with hub_errors(repo, on):
        try:
            HfApi().create_tag(repo, tag=tag, revision=on, exist_ok=False)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
    # A 409 does not say where the tag is, and an answer of success is not yet a tag on the right commit.
    found = find_tag(repo, tag)
    if found != on:
        raise tag_taken(repo, tag, found)


def tag_taken(repo: str, tag: str, commit: str | None) -> TagExistsError:
    """Returns the error for a tag that names another commit than a release's."""
    return TagExistsError(
        f"{repo} already has the tag {tag}, on commit {commit}, which is not this release; a tag is never moved.",
        hint=f"Give the release a tag of its own: --tag {_next(tag)}",
    )


def _next(tag: str) -> str:
    version = Version(tag)
    return f"v{version.major}.{version.minor}.{version.micro + 1}"
