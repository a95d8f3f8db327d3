"""Gives a published commit another tag: one commit beside it, in which card, config and manifest name the new tag.

Nothing else changes, so no weights are sent. As in `hubtune.publish.push`, an answer that leaves open whether a commit
was made is settled by looking at the branch, and a commit that is there already is found, not made again.
"""

from dataclasses import dataclass

from hubtune import __version__
from hubtune.config.schema import TuneConfig
from hubtune.errors import HubError, HubUnreachableError, PublishConflictError, ReadBackError
from hubtune.hub.read import history, list_refs
from hubtune.hub.repo_files import changed_files, differences
from hubtune.hub.write import CommitDraft, commit, create_branch, create_tag, delete_branch
from hubtune.records.base import Progress, sha256_bytes
from hubtune.records.release import CARD, CONFIG, MANIFEST, Manifest, published_config

_MAIN = "main"
_ATTEMPTS = 3
# Commits of main that are looked through for one that an interrupted attempt made.
_SEARCHED = 1000
# Failures after which the commit may have been made all the same.
_OPEN = (HubError, HubUnreachableError, PublishConflictError)


@dataclass(frozen=True)
class Retag:
    """A published commit that is to get another tag.

    Attributes:
        source: The commit that it has now.
        files: Path to content of the files that name the tag; all others stay as they are.
    """

    repo: str
    tag: str
    source: str
    files: dict[str, bytes]

    @property
    def message(self) -> str:
        """The commit's message; see `retag_message`."""
        return retag_message(self.tag, self.source)

    @property
    def branch(self) -> str:
        """The branch for as long as the commit has no tag, where it cannot stand on main."""
        return f"hubtune-{self.tag}"


def retag_message(tag: str, source: str) -> str:
    """Returns the message of the commit that gives the content of `source` the tag; by it the commit is found again."""
    return f"Release {tag}: the content of {source}"


def plan_retag(source: str, manifest: Manifest, config: TuneConfig, card: str) -> Retag:
    """Works out the three files, the same as publishing the run under that tag would make them.

    Args:
        source: The commit that holds the release.
        manifest: Its manifest.
        config: Its config, with the new tag.
        card: Its card, rendered for the new tag.
    """
    files = {CARD: card.encode(), CONFIG: published_config(config).encode()}
    digests = {**manifest.files, **{path: sha256_bytes(content) for path, content in files.items()}}
    renamed = manifest.model_copy(
        update={
            "hubtune": __version__,
            "tag": config.publish.tag,
            "files": dict(sorted(digests.items())),
            "config": digests[CONFIG],
        }
    )
    files[MANIFEST] = renamed.to_json().encode()
    return Retag(repo=manifest.repo, tag=config.publish.tag, source=source, files=files)


def retag(plan: Retag, progress: Progress) -> str:
    """Brings the three files onto the Hub and tags the commit.

    Where the source is the head of main, the commit follows it there; else it stands on a branch that is deleted once
    the tag keeps the commit.

    Returns:
        The commit that the tag is on.

    Raises:
        TagExistsError: The tag came to be on something else meanwhile.
        PublishConflictError: Somebody else committed meanwhile.
        ReadBackError: The Hub holds other bytes than were sent. The commit is there, and has no tag.
        HubError: The Hub refused, or could not be reached.
    """
    with progress.task(f"Tagging {plan.repo}", 3) as task:
        made = _place(plan)
        task.advance(note=f"commit {made[:7]}")
        wrong = deviations(plan, made)
        if wrong:
            raise ReadBackError(
                f"{plan.repo} at {made} does not hold what was sent; the commit was not tagged.",
                details=wrong,
                hint="Run the same command again. If it happens again, the Hub or something on the way damages files.",
            )
        task.advance(note=f"{len(plan.files)} files read back")
        create_tag(plan.repo, plan.tag, made)
        task.advance(note=f"tag {plan.tag}")
    clear_branch(plan, made, progress)
    return made


def deviations(plan: Retag, at: str) -> list[str]:
    """Names the files by which a commit is not the source with just the three files made anew."""
    other = changed_files(plan.repo, plan.source, at) - set(plan.files)
    expected = {path: sha256_bytes(content) for path, content in plan.files.items()}
    return [*(f"{path}: not as at {plan.source}" for path in sorted(other)), *differences(plan.repo, at, expected)]


def clear_branch(plan: Retag, tagged: str, progress: Progress) -> None:
    """Deletes the branch that was needed until the tag was there; a failure to do so is only told."""
    try:
        if list_refs(plan.repo).branches.get(plan.branch) != tagged:
            return
        delete_branch(plan.repo, plan.branch)
    except HubError as error:
        progress.warn(f"The tag is there; the branch {plan.branch} could not be deleted: {error.message}")
        return
    progress.say(f"Deleted the branch {plan.branch}: the tag {plan.tag} keeps its commit.")


def _place(plan: Retag) -> str:
    branches = list_refs(plan.repo).branches
    head = branches.get(_MAIN)
    if head == plan.source:
        return _commit(plan, _MAIN)
    made = _made_before(plan, head) if head is not None else None
    if made is not None:
        return made
    create_branch(plan.repo, plan.branch, plan.source)
    return _commit(plan, plan.branch)


def _made_before(plan: Retag, head: str) -> str | None:
    """Returns the commit on main that an attempt made which came no further."""
    for line in history(plan.repo, head, _SEARCHED):
        if line.commit == plan.source:
            return None
        if line.title == plan.message and not deviations(plan, line.commit):
            return line.commit
    return None


def _commit(plan: Retag, branch: str) -> str:
    for attempt in range(1, _ATTEMPTS + 1):
        head = list_refs(plan.repo).branches.get(branch)
        if head != plan.source:
            # An attempt before this one, whose answer was lost, may be what moved the branch.
            if head is not None and not deviations(plan, head):
                return head
            raise PublishConflictError(
                f"The branch {branch} of {plan.repo} is on {head}, where {plan.source} was expected.",
                hint="Run the same command again: it starts from the new head."
                if branch == _MAIN
                else f"Delete the branch {branch} if nobody needs it, then run the same command again.",
            )
        try:
            return commit(plan.repo, CommitDraft(plan.files, plan.source, plan.message), branch=branch)
        except HubError as error:
            if attempt == _ATTEMPTS or type(error) not in _OPEN:
                raise
    raise AssertionError("the loop returns or raises")
