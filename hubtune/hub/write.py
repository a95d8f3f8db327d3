"""Writes to a repository: creates it, commits to it on a known parent, opens a pull request, tags a commit.

An error does not show whether the write was done, so callers look at the repository before they try again.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from hubtune.errors import CardError, HubError, PublishConflictError, TagExistsError, advise
from hubtune.hub.read import find_tag
from hubtune.hub.translate import hub_answer
from hubtune.metadata.versions import next_tag
from hubtune.records.base import RepoType


def create_repo(repo: str, repo_type: RepoType = "model", *, private: bool = False) -> None:
    """Creates the repository unless it exists; an existing one keeps its visibility.

    Raises:
        PermissionDeniedError: The token may not.
    """
    with hub_answer(repo):
        api = HfApi()
        try:
            api.create_repo(repo, repo_type=repo_type, private=private)
        except HfHubHTTPError as error:
            status = error.response.status_code
            # Whoever may not create it may still write to one that is there; the commit shows that.
            if status != 409 and not (status in (401, 402, 403) and api.repo_exists(repo, repo_type=repo_type)):
                raise


def create_branch(repo: str, branch: str, on: str, repo_type: RepoType = "model") -> None:
    """Creates a branch at a commit, unless it exists.

    Raises:
        HubError: It could not be made.
    """
    with hub_answer(repo, on):
        HfApi().create_branch(repo, branch=branch, revision=on, repo_type=repo_type, exist_ok=True)


def delete_branch(repo: str, branch: str) -> None:
    """Deletes a branch; commits with a tag stay."""
    with hub_answer(repo, branch):
        HfApi().delete_branch(repo, branch=branch)


@dataclass(frozen=True)
class CommitDraft:
    """A commit that is to be made.

    Attributes:
        files: Path in the repository to the content, or to the local file that holds it.
        parent: The 40-hex commit that it was planned on.
        message: First line of the commit's message.
        delete: Paths to take out.
    """

    files: Mapping[str, Path | bytes]
    parent: str
    message: str
    delete: Collection[str] = ()

    @property
    def operations(self) -> list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete]:
        """The changes in the form of the Hub's client, sorted by path."""
        return [
            *(CommitOperationAdd(path, content) for path, content in sorted(self.files.items())),
            *(CommitOperationDelete(path, is_folder=False) for path in sorted(self.delete)),
        ]


def commit(repo: str, draft: CommitDraft, repo_type: RepoType = "model", branch: str = "main") -> str:
    """Makes one commit on a branch if the draft's parent is its head.

    Args:
        repo: The repository's id.
        draft: What it changes, and on what.
        repo_type: Model or dataset.
        branch: The branch, which has to exist.

    Returns:
        The new commit; the parent when nothing would have changed.

    Raises:
        PublishConflictError: The branch has moved on from the parent.
        CardError: The Hub does not accept README.md. Nothing was sent.
        HubError: Any other failure. Whether the commit was made is then open, until the history is looked at.
    """
    operations = draft.operations
    with _commit_errors(repo, draft.parent):
        made = HfApi().create_commit(
            repo,
            operations,
            repo_type=repo_type,
            revision=branch,
            commit_message=draft.message,
            parent_commit=draft.parent,
        )
    return str(made.oid)


def propose(repo: str, draft: CommitDraft) -> int:
    """Opens a pull request of one commit on the draft's parent, for the main branch of a model repository.

    Returns:
        The pull request's number.

    Raises:
        CardError: The Hub does not accept README.md. Nothing was sent.
        HubError: Any other failure. Whether the pull request was opened is then open, until they are listed.
    """
    operations = draft.operations
    with _commit_errors(repo, draft.parent):
        made = HfApi().create_commit(
            repo, operations, commit_message=draft.message, parent_commit=draft.parent, create_pr=True
        )
    if made.pr_num is None:
        raise HubError(
            f"The Hub did not say which pull request of {repo} it opened.",
            hint=f"Look at the pull requests of {repo} before you try again.",
            passing=True,
        )
    return made.pr_num


def create_tag(repo: str, tag: str, on: str) -> None:
    """Puts `tag` on the commit `on`; a tag is never moved.

    Raises:
        TagExistsError: The tag is on another commit.
        HubError: Any other failure. Whether the tag was made is then open, until it is looked at.
    """
    with hub_answer(repo, on):
        try:
            HfApi().create_tag(repo, tag=tag, revision=on, exist_ok=False)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
    # A 409 does not say where the tag is, and an answer of success is not yet a tag on the right commit.
    found = find_tag(repo, tag)
    if found is None:
        raise HubError(
            f"{repo} does not list the tag {tag}, which was just put on {on}.",
            hint="Run the same command again.",
            passing=True,
        )
    if found != on:
        raise tag_taken(repo, tag, found)


def tag_taken(repo: str, tag: str, commit: str) -> TagExistsError:
    """Returns the error for a tag that is on a commit other than the release's."""
    return TagExistsError(
        f"{repo} already has the tag {tag}, on commit {commit}, which is not this release; a tag is never moved.",
        hint=own_tag_hint(tag),
    )


def own_tag_hint(tag: str) -> str:
    """Returns what to do if a tag is taken."""
    other = next_tag(tag, "patch")
    return advise(
        "--tag",
        f"Give the release a tag of its own: --tag {other}",
        f"Give the release a tag of its own, such as {other}: `publish.tag` in the config.",
    )


@contextmanager
def _commit_errors(repo: str, parent: str) -> Iterator[None]:
    with hub_answer(repo):
        try:
            yield
        except HfHubHTTPError as error:
            # 412 if the parent is not the head, 409 if another commit is being made at this moment.
            if error.response.status_code in (409, 412):
                raise PublishConflictError(
                    f"{repo} has changed since the release was planned: its head is no longer {parent}.",
                    hint="Run the same command again: it starts from the new head.",
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


def open_pull_requests(repo: str, author: str) -> list[int]:
    """Returns the numbers of an author's open pull requests, the newest first.

    Raises:
        HubError: They cannot be listed.
    """
    with hub_answer(repo):
        found = HfApi().get_repo_discussions(
            repo, author=author, discussion_type="pull_request", discussion_status="open"
        )
        return sorted((pull_request.num for pull_request in found), reverse=True)


def pull_request_url(repo: str, number: int) -> str:
    """Returns the address of a pull request's page, on the Hub that is in use."""
    return f"{constants.ENDPOINT}/{repo}/discussions/{number}"
