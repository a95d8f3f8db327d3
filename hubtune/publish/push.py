"""The publish stage: one commit on a known parent, read back and compared, then the tag, read back.

Whatever the Hub answers, the repository ends with the old release or the new one. An answer that leaves open whether a
commit was made is settled by looking at the history, and a release that is there already is found, not made again.
"""

from pydantic import ValidationError

from hubtune.errors import HubError, HubUnreachableError, PublishConflictError, ReadBackError
from hubtune.hub.contents import differences, digests_at, read_file
from hubtune.hub.read import find_tag, resolve
from hubtune.hub.write import commit, create_repo, create_tag, tag_taken
from hubtune.publish.plan import ReleasePlan
from hubtune.records.progress import Progress
from hubtune.records.published import MANIFEST
from hubtune.records.release import Manifest

_ATTEMPTS = 3
# Failures after which the commit may have been made all the same; a refusal such as a wrong token is not one.
_OPEN = (HubError, HubUnreachableError)


def push(plan: ReleasePlan, progress: Progress) -> str:
    """Brings the release onto the Hub.

    Returns:
        The commit that the tag is on. Where just this release was there before, that is its commit, and nothing was
        changed.

    Raises:
        TagExistsError: The tag is on a commit that holds something else. Nothing was changed.
        PublishConflictError: Somebody else committed meanwhile. Nothing was changed.
        ReadBackError: The Hub holds other bytes than were sent. The commit is there, and has no tag.
        HubError: The Hub refused, or could not be reached.
    """
    with progress.task(f"Publishing to {plan.repo}", 4) as task:
        create_repo(plan.repo, private=plan.private)
        task.advance(note="repository is there")
        tagged = find_tag(plan.repo, plan.tag)
        if tagged is not None:
            if _differences(plan, tagged):
                raise tag_taken(plan.repo, plan.tag, tagged)
            progress.say(f"{plan.repo} has this release already: {plan.tag} on {tagged}")
            return tagged
        made = _commit(plan)
        task.advance(note=f"commit {made[:7]}")
        differences = _differences(plan, made, download=True)
        if differences:
            raise ReadBackError(
                f"{plan.repo} at {made} does not hold what was sent; the commit was not tagged.",
                details=differences,
                hint="Run the same command again. If it stays, the Hub or something on the way damages files.",
            )
        task.advance(note=f"{len(plan.digests)} files read back")
        create_tag(plan.repo, plan.tag, made)
        task.advance(note=f"tag {plan.tag}")
    return made


def _commit(plan: ReleasePlan) -> str:
    """Makes the commit, or finds that the head of the main branch is it already."""
    for attempt in range(1, _ATTEMPTS + 1):
        parent = resolve(plan.repo, "model", "main").commit
        # True on a second publish that had no time to tag, and after a commit whose answer was lost.
        if not _differences(plan, parent):
            return parent
        try:
            return commit(plan.repo, plan.files, parent=parent, message=plan.message, delete=_left_over(plan, parent))
        except PublishConflictError:
            # An attempt before this one, whose answer was lost, may be what moved the branch.
            head = resolve(plan.repo, "model", "main").commit
            if head == parent or _differences(plan, head):
                raise
            return head
        except HubError as error:
            if attempt == _ATTEMPTS or type(error) not in _OPEN:
                raise
    raise AssertionError("the loop returns or raises")


def _differences(plan: ReleasePlan, at: str, *, download: bool = False) -> list[str]:
    """Names the files of the plan that the repository lacks or holds with other content at a commit."""
    return differences(plan.repo, at, plan.digests, download=download)


def _left_over(plan: ReleasePlan, parent: str) -> list[str]:
    """Names the files that the release before this one brought and this one does not."""
    content = read_file(plan.repo, parent, MANIFEST)
    if content is None:
        return []
    try:
        before = Manifest.model_validate_json(content)
    except ValidationError:
        return []
    gone = set(before.files) - set(plan.digests)
    return sorted(gone & set(digests_at(plan.repo, parent, gone)))
