"""A release as a pull request, from those who may not push: the same commit, read back, and no tag."""

import time
from dataclasses import dataclass

from hubtune.errors import HubError, PublishConflictError, ReadBackError, RepoNotFoundError
from hubtune.hub.pull_requests import open_pull_requests, pull_request_url
from hubtune.hub.read import refuse_branch_named, resolve
from hubtune.hub.session import requests_sent_once
from hubtune.hub.write import propose, tag_taken
from hubtune.publish.plan import ReleasePlan
from hubtune.publish.remote import MAIN, NOT_THERE_YET, RemoteRepo
from hubtune.publish.retries import Retries, Wait
from hubtune.records.progress import Progress


@dataclass(frozen=True)
class Proposal:
    """An open pull request that holds a release.

    Attributes:
        number: N of `refs/pr/N`.
        commit: The head of its branch.
        url: Its page.
    """

    number: int
    commit: str
    url: str


def propose_release(plan: ReleasePlan, author: str, progress: Progress, *, wait: Wait = time.sleep) -> Proposal:
    """Opens one pull request with the release, or finds the one that was opened before.

    Args:
        plan: The release.
        author: The account that the token belongs to; its open pull requests are looked through first.
        progress: Told of each step, and why one waits.
        wait: Waits so many seconds before another attempt.

    Raises:
        RepoNotFoundError: There is no such repository: a pull request creates none.
        AmbiguousRevisionError: A branch has the tag's name.
        TagExistsError: The tag is on a commit that holds something else.
        PublishConflictError: The main branch holds this release already.
        ArtifactKindError: The repository holds the other kind of artifact.
        ReadBackError: The Hub holds other bytes than were sent.
        HubError: The Hub refused, or could not be reached.
    """
    with requests_sent_once(), progress.task(f"Proposing to {plan.repo}", 3) as task:
        remote = RemoteRepo(plan.repo, Retries(progress, wait))
        head = _head(remote, plan)
        task.advance(note="repository is there")
        proposal = _find(remote, plan, author)
        if proposal is not None:
            progress.say(f"{proposal.url} proposes this release already")
        else:
            proposal = _open(remote, plan, author, head)
        task.advance(note=f"pull request {proposal.number}")
        faults = remote.read_back(plan, proposal.commit)
        if faults:
            raise ReadBackError(
                f"{proposal.url} does not hold what was sent.",
                details=faults,
                hint="Close it, and run the same command again.",
            )
        task.advance(note=f"{len(plan.digests)} files read back")
    return proposal


def _head(remote: RemoteRepo, plan: ReleasePlan) -> str:
    try:
        refs = remote.refs(also=())
    except RepoNotFoundError as error:
        error.hint = "A pull request needs a repository that exists; ask one of its owners to create it."
        raise
    tagged, head = refs.tags.get(plan.tag), refs.branches[MAIN]
    refuse_branch_named(plan.repo, plan.tag, refs)
    if tagged is not None and not remote.holds(plan, tagged):
        raise tag_taken(plan.repo, plan.tag, tagged)
    if tagged is not None or remote.holds(plan, head):
        raise PublishConflictError(
            f"{plan.repo} has this release already: {plan.tag} on {tagged}."
            if tagged is not None
            else f"The main branch of {plan.repo} holds this release already, at {head}; only its tag is missing.",
            hint=f"Ask somebody who may write there to tag it: hubtune release tag {plan.repo} {head} {plan.tag}"
            if tagged is None
            else "Nothing is left to propose.",
        )
    if plan.private:
        remote.require_private()
    remote.require_kind(plan.artifact, [head])
    return head


def _find(remote: RemoteRepo, plan: ReleasePlan, author: str) -> Proposal | None:
    """Returns the author's open pull request that holds the release, if there is one."""
    numbers = remote.retries("Reading pull requests", lambda: open_pull_requests(plan.repo, author), also=NOT_THERE_YET)
    for number in numbers:
        proposal = _look(remote, plan, number)
        if remote.holds(plan, proposal.commit):
            return proposal
    return None


def _open(remote: RemoteRepo, plan: ReleasePlan, author: str, head: str) -> Proposal:
    left_over = remote.left_over(plan, head)
    attempt = 1
    while True:
        try:
            number = propose(plan.repo, plan.files, parent=head, message=plan.message, delete=left_over)
        except HubError as error:
            # It may have been opened all the same.
            found = _find(remote, plan, author)
            if found is not None:
                return found
            if not (error.passing or isinstance(error, (PublishConflictError, *NOT_THERE_YET))):
                raise
            remote.retries.pause("Opening a pull request", error, attempt)
            attempt += 1
        else:
            return _look(remote, plan, number)


def _look(remote: RemoteRepo, plan: ReleasePlan, number: int) -> Proposal:
    found = remote.retries(
        f"Reading pull request {number}",
        lambda: resolve(plan.repo, "model", f"refs/pr/{number}"),
        also=NOT_THERE_YET,
    )
    return Proposal(number, found.commit, pull_request_url(plan.repo, number))
