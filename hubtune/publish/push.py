"""The publish stage: one commit on a known parent, read back and compared, then the tag, read back; or a pull request.

Whatever the Hub answers, the repository ends up with either the old or the new release. If an answer leaves open
whether a commit or a tag was made, hubtune looks, and does not make it again if it is there. If several people publish
different releases under one tag, one of them succeeds: a commit is only made on the head that was checked, and a head
that is an untagged release with this tag is left to its publisher.
"""

import time
from dataclasses import dataclass

from hubtune import errors
from hubtune.hub import write
from hubtune.hub.client import requests_sent_once
from hubtune.hub.read import list_refs, refuse_branch_named, refuse_tag_named, resolve
from hubtune.hub.retries import Retries, Wait
from hubtune.publish.plan import ReleasePlan
from hubtune.publish.preflight import MAIN, NOT_THERE_YET, RemoteRepo
from hubtune.records.base import Progress


def push(plan: ReleasePlan, progress: Progress, *, wait: Wait = time.sleep) -> str:
    """Brings the release onto the Hub.

    Args:
        plan: The release.
        progress: Reports each step, and the reason for a wait.
        wait: Waits this many seconds before the next attempt.

    Returns:
        The commit that the tag is on. If just this release was there before, that is its commit, and nothing was
        changed.

    Raises:
        AmbiguousRevisionError: A branch has the tag's name. Nothing was changed, if it was there before.
        TagExistsError: The tag is on a commit that holds something else. Nothing was changed.
        PublishConflictError: Somebody else committed meanwhile. Nothing was changed.
        ArtifactKindError: The repository holds the other kind of artifact. Nothing was changed.
        ConfigError: The release is to be private, and the repository is public. Nothing was changed.
        ReadBackError: The Hub holds other bytes than were sent. The commit is there, and has no tag.
        HubError: The Hub refused, or could not be reached.
    """
    with requests_sent_once(), progress.task(f"Publishing to {plan.repo}", 4) as task:
        remote = RemoteRepo(plan.repo, Retries(progress, wait))
        found = _open(remote, plan)
        if plan.private:
            remote.require_private()
        task.advance(note="repository exists")
        if found.tagged is not None:
            if not remote.holds(plan, found.tagged):
                raise write.tag_taken(plan.repo, plan.tag, found.tagged)
            remote.require_readers_get(plan.tag, found.tagged)
            progress.say(f"{plan.repo} already has this release: {plan.tag} at {found.tagged}")
            return found.tagged
        made = _commit(remote, plan, found)
        task.advance(note=f"commit {made[:7]}")
        faults = remote.read_back(plan, made)
        if faults:
            raise errors.ReadBackError(
                f"{plan.repo} at {made} does not hold what was sent; the commit was not tagged.",
                details=faults,
                hint="Run the same command again. If it happens again, the Hub or something on the way damages files.",
            )
        task.advance(note=f"{len(plan.digests)} files read back")
        _tag(remote, plan, made)
        remote.require_readers_get(plan.tag, made)
        task.advance(note=f"tag {plan.tag}")
    return made


@dataclass(frozen=True)
class _Found:
    """The repository before the commit: the heads of the release's branch and of main, and the tag's commit."""

    branch: str | None
    main: str
    tagged: str | None

    @property
    def parent(self) -> str:
        return self.branch or self.main


def _open(remote: RemoteRepo, plan: ReleasePlan) -> _Found:
    """Creates the repository if it is missing."""

    def open_repo() -> _Found:
        write.create_repo(plan.repo, private=plan.private)
        refs = list_refs(plan.repo)
        refuse_branch_named(plan.repo, plan.tag, refs)
        refuse_tag_named(plan.repo, plan.branch, refs)
        main = refs.branches.get(MAIN)
        if main is None:
            raise errors.RevisionNotFoundError(
                f"{plan.repo} has no branch {MAIN}.", hint=f"Make one: hf repos branch create {plan.repo} {MAIN}"
            )
        return _Found(refs.branches.get(plan.branch), main, refs.tags.get(plan.tag))

    return remote.retries(f"Opening {plan.repo}", open_repo, also=NOT_THERE_YET)


def _commit(remote: RemoteRepo, plan: ReleasePlan, found: _Found) -> str:
    """Makes the commit, or finds that the head of the branch is it already."""
    parent = found.parent
    # True on a second publish, if the first had no time to tag.
    is_made = remote.holds(plan, parent)
    if not is_made:
        _require_free(remote, plan, found)
    if found.branch is None:
        remote.retries(
            f"Making the branch {plan.branch}",
            lambda: write.create_branch(plan.repo, plan.branch, found.main),
            also=NOT_THERE_YET,
        )
    if is_made:
        return parent
    left_over = remote.left_over(plan, parent)
    attempt = 1
    while True:
        try:
            return write.commit(
                plan.repo, write.CommitDraft(plan.files, parent, plan.message, left_over), branch=plan.branch
            )
        except errors.HubError as error:
            # Whatever the answer was, the commit may have been made: an earlier attempt, or something on the way, may
            # be what was refused.
            head = _head(remote, plan, error)
            if remote.holds(plan, head):
                return head
            if head != parent:
                raise errors.PublishConflictError(
                    f"Somebody else committed to {plan.branch} of {plan.repo} meanwhile: its head is {head}, and was "
                    f"{parent} when the release was planned. Nothing of the release is in it.",
                    hint="Run the same command again: it starts from the new head.",
                ) from error
            if not (error.passing or isinstance(error, (errors.PublishConflictError, *NOT_THERE_YET))):
                raise
            remote.retries.pause("Committing", error, attempt)
            attempt += 1


def _require_free(remote: RemoteRepo, plan: ReleasePlan, found: _Found) -> None:
    """Checks that the head is neither the other kind of artifact nor another release that is to have this tag.

    Raises:
        ArtifactKindError: It is the other kind.
        TagExistsError: The other release has its tag by now.
        PublishConflictError: It has not.
    """
    remote.require_kind(plan.artifact, dict.fromkeys([found.parent, found.main]))
    other = remote.manifest(found.parent)
    if other is None or other.tag != plan.tag or remote.holds_manifest(plan, found.parent):
        return
    tagged = remote.refs().tags.get(plan.tag)
    if tagged is not None:
        raise write.tag_taken(plan.repo, plan.tag, tagged)
    raise errors.PublishConflictError(
        f"The head of {plan.branch} of {plan.repo}, {found.parent}, is another release as {plan.tag}, which has no tag "
        "yet: somebody is publishing it at this moment, or was interrupted.",
        hint=f"Publish that run again to finish it. Or: {write.own_tag_hint(plan.tag)}",
    )


def _head(remote: RemoteRepo, plan: ReleasePlan, error: errors.HubError) -> str:
    try:
        return remote.refs().branches[plan.branch]
    except (errors.HubError, KeyError):
        # The first failure is what the user has to know of.
        raise error from None


def _tag(remote: RemoteRepo, plan: ReleasePlan, made: str) -> None:
    """Puts the tag on the commit, or finds that it is there."""
    attempt = 1
    while True:
        try:
            write.create_tag(plan.repo, plan.tag, made)
        except errors.TagExistsError:
            raise
        except errors.HubError as error:
            tagged = _tagged(remote, plan, error)
            if tagged == made:
                return
            if tagged is not None:
                raise write.tag_taken(plan.repo, plan.tag, tagged) from error
            if not (error.passing or isinstance(error, NOT_THERE_YET)):
                raise
            remote.retries.pause("Tagging", error, attempt)
            attempt += 1
        else:
            return


def _tagged(remote: RemoteRepo, plan: ReleasePlan, error: errors.HubError) -> str | None:
    try:
        return remote.refs().tags.get(plan.tag)
    except errors.HubError:
        raise error from None


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
        author: The account that the token belongs to; its open pull requests are searched first.
        progress: Reports each step, and the reason for a wait.
        wait: Waits this many seconds before the next attempt.

    Raises:
        RepoNotFoundError: There is no such repository: a pull request creates none.
        AmbiguousRevisionError: A branch has the tag's name.
        TagExistsError: The tag is on a commit that holds something else.
        PublishConflictError: The main branch holds this release already.
        ArtifactKindError: The repository holds the other kind of artifact.
        ReadBackError: The Hub holds other bytes than were sent.
        HubError: The Hub refused, or could not be reached.
    """
    with requests_sent_once(), progress.task(f"Opening a pull request in {plan.repo}", 3) as task:
        remote = RemoteRepo(plan.repo, Retries(progress, wait))
        head = _pull_request_head(remote, plan)
        task.advance(note="repository exists")
        proposal = _find(remote, plan, author)
        if proposal is not None:
            progress.say(f"{proposal.url} already proposes this release")
        else:
            proposal = _open_pull_request(remote, plan, author, head)
        task.advance(note=f"pull request {proposal.number}")
        faults = remote.read_back(plan, proposal.commit)
        if faults:
            raise errors.ReadBackError(
                f"{proposal.url} does not hold what was sent.",
                details=faults,
                hint="Close it, and run the same command again.",
            )
        task.advance(note=f"{len(plan.digests)} files read back")
    return proposal


def _pull_request_head(remote: RemoteRepo, plan: ReleasePlan) -> str:
    try:
        refs = remote.refs(also=())
    except errors.RepoNotFoundError as error:
        error.hint = "A pull request needs a repository that exists; ask one of its owners to create it."
        raise
    tagged, head = refs.tags.get(plan.tag), refs.branches[MAIN]
    refuse_branch_named(plan.repo, plan.tag, refs)
    if tagged is not None and not remote.holds(plan, tagged):
        raise write.tag_taken(plan.repo, plan.tag, tagged)
    if tagged is not None or remote.holds(plan, head):
        raise errors.PublishConflictError(
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
    numbers = remote.retries(
        "Reading pull requests", lambda: write.open_pull_requests(plan.repo, author), also=NOT_THERE_YET
    )
    for number in numbers:
        proposal = _look(remote, plan, number)
        if remote.holds(plan, proposal.commit):
            return proposal
    return None


def _open_pull_request(remote: RemoteRepo, plan: ReleasePlan, author: str, head: str) -> Proposal:
    left_over = remote.left_over(plan, head)
    attempt = 1
    while True:
        try:
            number = write.propose(plan.repo, write.CommitDraft(plan.files, head, plan.message, left_over))
        except errors.HubError as error:
            # It may have been opened all the same.
            found = _find(remote, plan, author)
            if found is not None:
                return found
            if not (error.passing or isinstance(error, (errors.PublishConflictError, *NOT_THERE_YET))):
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
    return Proposal(number, found.commit, write.pull_request_url(plan.repo, number))
