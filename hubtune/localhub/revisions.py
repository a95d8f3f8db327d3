"""From what a client calls a revision to a commit: a branch, a tag, a full ref, a commit or the start of one."""

import re
from collections.abc import Iterator

from dulwich.object_store import peel_sha
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref, check_ref_format
from dulwich.repo import Repo

from hubtune.localhub.api_errors import revision_not_found

MAIN = Ref(b"refs/heads/main")
_DIGEST = re.compile(r"[0-9a-fA-F]{40}")
_HEX = re.compile(r"[0-9a-fA-F]{7,40}")


def is_digest(name: str) -> bool:
    """Says whether a name has the form of a commit's 40 digits."""
    return _DIGEST.fullmatch(name) is not None


def names(digits: str, commit: ObjectID) -> bool:
    """Says whether these are a commit's digits, or enough of them from its start."""
    return _HEX.fullmatch(digits) is not None and commit.startswith(digits.lower().encode())


def branch_ref(name: str) -> Ref:
    """Returns the full ref of a branch."""
    return Ref(b"refs/heads/" + name.encode(errors="replace"))


def tag_ref(name: str) -> Ref:
    """Returns the full ref of a tag."""
    return Ref(b"refs/tags/" + name.encode(errors="replace"))


def resolve(git: Repo, revision: str) -> ObjectID:
    """Returns the commit that a revision means.

    As in git, all 40 digits of a commit mean that commit, whatever refs there are: nobody can put another in the place
    of one that was pinned. Next comes a tag, then a branch, and last the start of a commit's digits.

    Raises:
        ApiError: RevisionNotFound.
    """
    if is_digest(revision):
        whole = ObjectID(revision.lower().encode())
        if whole in git.object_store and isinstance(git[whole], Commit):
            return whole
    for ref in _candidates(revision):
        value = read_ref(git, ref)
        if value is not None:
            return peel(git, value)
    matches = commits_named(git, revision)
    if len(matches) == 1:
        return matches[0]
    raise revision_not_found(revision)


def commits_named(git: Repo, digits: str) -> list[ObjectID]:
    """Returns the commits that begin with these digits; none if there are too few or they are no digits."""
    if not _HEX.fullmatch(digits):
        return []
    found = git.object_store.iter_prefix(digits.lower().encode())
    return [sha for sha in found if isinstance(git[sha], Commit)]


def resolve_branch(git: Repo, revision: str) -> tuple[Ref, ObjectID]:
    """Returns the branch that a commit to this revision would move, and where it is now.

    Raises:
        ApiError: RevisionNotFound if there is no such branch; tags and commits cannot be moved.
    """
    for ref in _candidates(revision):
        if ref.startswith((b"refs/heads/", b"refs/pr/")):
            value = read_ref(git, ref)
            if value is not None:
                return ref, value
    raise revision_not_found(revision)


def read_ref(git: Repo, ref: Ref) -> ObjectID | None:
    """Returns the object that a ref names, or None if there is none or it is no valid name."""
    if not check_ref_format(ref):
        return None
    try:
        return git.refs[ref]
    except KeyError:
        return None


def peel(git: Repo, sha: ObjectID) -> ObjectID:
    """Returns the commit behind an annotated tag; a commit is returned as it is."""
    return peel_sha(git.object_store, sha)[1].id


def _candidates(revision: str) -> Iterator[Ref]:
    if revision.startswith("refs/"):
        yield Ref(revision.encode(errors="replace"))
    # As in git: nobody can replace a release by a branch.
    yield tag_ref(revision)
    yield branch_ref(revision)
