"""What a plan would change in its repository; reads only."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hubtune.errors import RepoNotFoundError
from hubtune.hub.read import refuse_branch_named, refuse_tag_named
from hubtune.hub.session import requests_sent_once
from hubtune.hub.write import tag_taken
from hubtune.publish.plan import ReleasePlan
from hubtune.publish.remote import MAIN, RemoteRepo
from hubtune.publish.retries import Retries, Wait
from hubtune.records.plan import PlannedFile
from hubtune.records.progress import Progress


@dataclass(frozen=True)
class Preview:
    """The plan against what is there.

    Attributes:
        exists: Whether the repository does.
        parent: The commit that the release's would be made on.
        published: The commit on which just this release is tagged.
        card: README.md at the parent; None where there is none.
    """

    exists: bool
    parent: str | None
    published: str | None
    files: list[PlannedFile]
    delete: list[str]
    card: bytes | None


def preview(plan: ReleasePlan, progress: Progress, *, wait: Wait = time.sleep) -> Preview:
    """Compares a plan with its repository.

    Raises:
        AmbiguousRevisionError: A branch has the tag's name.
        TagExistsError: The tag is on a commit that holds something else.
        ArtifactKindError: The repository holds the other kind of artifact.
        HubError: It cannot be read.
    """
    with requests_sent_once():
        remote = RemoteRepo(plan.repo, Retries(progress, wait))
        try:
            refs = remote.refs(also=())
        except RepoNotFoundError:
            return Preview(False, None, None, _changes(plan, remote, None), [], None)
        parent, tagged = refs.branches.get(plan.branch) or refs.branches.get(MAIN), refs.tags.get(plan.tag)
        refuse_branch_named(plan.repo, plan.tag, refs)
        refuse_tag_named(plan.repo, plan.branch, refs)
        if tagged is not None and not remote.holds(plan, tagged):
            raise tag_taken(plan.repo, plan.tag, tagged)
        if plan.private:
            remote.require_private()
        heads = [refs.branches[name] for name in (MAIN, plan.branch) if name in refs.branches]
        remote.require_kind(plan.artifact, dict.fromkeys(heads))
        return Preview(
            exists=True,
            parent=parent,
            published=tagged,
            files=_changes(plan, remote, parent),
            delete=remote.left_over(plan, parent) if parent else [],
            card=remote.content(parent, "README.md") if parent else None,
        )


def _changes(plan: ReleasePlan, remote: RemoteRepo, parent: str | None) -> list[PlannedFile]:
    before = remote.files(parent) if parent else {}
    files = []
    for path, content in sorted(plan.files.items()):
        change: Literal["added", "changed", "unchanged"] = "added"
        if path in before:
            change = "unchanged" if before[path].holds(content, plan.digests[path]) else "changed"
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        files.append(PlannedFile(path=path, size=size, sha256=plan.digests[path], change=change))
    return files
