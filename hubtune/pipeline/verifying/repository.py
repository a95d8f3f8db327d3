"""Claims about where a release lies: its repository, its tag, and the commit that its publisher announced."""

from hubtune.config.fields import is_commit
from hubtune.hub.read import list_refs
from hubtune.pipeline.verifying.outcome import ContradictedError, UncheckedError
from hubtune.pipeline.verifying.subject import Subject

UNSIGNED = (
    "the release is not signed, and whoever can write to the repository can rewrite all of it: give the commit that "
    "the publisher announced with --commit"
)


def check_repository(subject: Subject) -> str:
    """Compares the repository and the tag that the manifest names with those that were asked for."""
    manifest = subject.documents.manifest
    if manifest.repo != subject.repo:
        raise ContradictedError(f"the manifest is that of {manifest.repo}, not of {subject.repo}")
    refs = list_refs(subject.repo)
    tagged = refs.tags.get(manifest.tag)
    if not is_commit(subject.requested) and manifest.tag != subject.requested:
        moved = refs.tags.get(subject.requested)
        if moved is not None:
            raise ContradictedError(
                f"the manifest is that of {manifest.tag}, and {subject.requested} points at its commit: the tag "
                f"{subject.requested} was moved, or made by hand"
            )
    if tagged is None:
        raise ContradictedError(f"the manifest is that of {manifest.tag}, and there is no such tag")
    if tagged != subject.commit:
        raise ContradictedError(f"the manifest is that of {manifest.tag}, and that tag points at {tagged}")
    if manifest.tag in refs.branches:
        raise ContradictedError(
            f"a branch is called {manifest.tag} too, on {refs.branches[manifest.tag]}: readers who ask for "
            f"{manifest.tag} get it, or may get it later, in place of {subject.commit}"
        )
    return f"{manifest.tag} of {manifest.repo}, at {subject.commit}"


def check_origin(subject: Subject, announced: str | None) -> str:
    """Compares the release's commit with the one that its publisher announced, if that is known."""
    if announced is None:
        raise UncheckedError(UNSIGNED)
    if subject.commit != announced:
        raise ContradictedError(f"{subject.requested} is at {subject.commit}, not at {announced}, which was announced")
    return f"it is the commit that you gave, {announced}; whoever announced that commit vouches for all that it holds"
