"""Branches and tags: listing, making and removing them. They are git's own refs, under the Hub's rules for names."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from dulwich.objects import Commit, ObjectID, Tag
from dulwich.refs import Ref, check_ref_format
from dulwich.repo import Repo

from hubtune.localhub.api_errors import ApiError, StaleParentError, revision_not_found
from hubtune.localhub.commits import identity, remove_ref, store_objects, swap_ref
from hubtune.localhub.revisions import MAIN, branch_ref, commits_named, is_digest, peel, read_ref, tag_ref

_TAG_TAKEN = "Tag reference exists already"
_RESERVED = re.compile(r"refs(/.*)?|-.*|@|(pr|convert)/.*|([A-Z]+_)?HEAD", re.IGNORECASE | re.DOTALL)
_LONGEST_NAME = 250
_LONGEST_REF = 1000


@dataclass(frozen=True)
class RefInfo:
    """A ref as clients list it.

    Attributes:
        name: Its short name.
        ref: Its full name.
        commit: The commit it means, also for an annotated tag.
    """

    name: str
    ref: str
    commit: str


def list_refs(git: Repo, base: str) -> Iterator[RefInfo]:
    """Yields the refs below `refs/heads`, `refs/tags` or another base, by name."""
    for name, sha in sorted(git.refs.as_dict(Ref(base.encode())).items()):
        short = name.decode()
        yield RefInfo(short, f"{base}/{short}", peel(git, sha).decode())


def create_branch(git: Repo, name: str, commit: ObjectID, *, overwrite: bool) -> None:
    """Makes a branch at a commit.

    Raises:
        ApiError: 409 if it exists and `overwrite` is false, otherwise as `check_branch_name`.
    """
    ref = check_branch_name(git, name)
    old = read_ref(git, ref)
    if overwrite and old is not None:
        if not swap_ref(git, ref, old, commit):
            raise StaleParentError
        return
    if old is not None or not swap_ref(git, ref, None, commit):
        raise _taken(ref)


def check_branch_name(git: Repo, name: str) -> Ref:
    """Returns the ref of a branch that is to be made or is there already.

    Raises:
        ApiError: 400 if the name cannot be a branch's, 409 if it means something else already.
    """
    ref = branch_ref(name)
    if not _is_allowed(name, ref):
        raise ApiError(400, f"Invalid reference for a branch: {name}")
    if read_ref(git, ref) is None:
        _refuse_second_meaning(git, name, ref)
    return ref


def delete_branch(git: Repo, name: str) -> None:
    """Removes a branch; its commits stay readable by their digests.

    Raises:
        ApiError: 403 for main, 404 if there is no such branch.
    """
    ref = branch_ref(name)
    if ref == MAIN:
        raise ApiError(403, "Cannot delete refs/heads/main")
    _remove(git, name, ref)


def create_tag(git: Repo, name: str, commit: ObjectID, *, message: str | None, tagger: str) -> None:
    """Makes a tag: annotated if there is a message, else a plain ref. A tag is never moved.

    Raises:
        ApiError: 409 if the tag exists, wherever it points, or its name means something else already; 400 if the name
            cannot be a tag's.
    """
    ref = tag_ref(name)
    if not _is_allowed(name, ref):
        raise ApiError(400, f"Invalid reference for a tag: {name}")
    if read_ref(git, ref) is not None:
        raise ApiError(409, _TAG_TAKEN)
    _refuse_second_meaning(git, name, ref)
    target = commit
    if message:
        tag = _annotated(name, commit, message, tagger)
        store_objects(git, [tag])
        target = tag.id
    if not swap_ref(git, ref, None, target):
        raise ApiError(409, _TAG_TAKEN)


def delete_tag(git: Repo, name: str) -> None:
    """Removes a tag.

    Raises:
        ApiError: 404 if there is no such tag.
    """
    _remove(git, name, tag_ref(name))


def _annotated(name: str, commit: ObjectID, message: str, tagger: str) -> Tag:
    tag = Tag()
    tag.name = name.encode()
    tag.object = (Commit, commit)
    tag.tagger = identity(tagger)
    tag.tag_time = int(time.time())
    tag.tag_timezone = 0
    tag.message = message.encode(errors="replace")
    return tag


def _is_allowed(name: str, ref: Ref) -> bool:
    # What git would not make either, because it reads such names as options, as HEAD or as a commit.
    if _RESERVED.fullmatch(name) or is_digest(name):
        return False
    # A ref is a file, and `.lock` is added to its name while it is written.
    return check_ref_format(ref) and len(ref) <= _LONGEST_REF and max(map(len, ref.split(b"/"))) <= _LONGEST_NAME


def _refuse_second_meaning(git: Repo, name: str, ref: Ref) -> None:
    """Refuses a new ref whose name means something already: git calls such a name ambiguous, and readers get either.

    Raises:
        ApiError: 409.
    """
    short = _short_names(ref)
    for other in git.refs.allkeys():
        # A ref is a file: it cannot stand where another needs a folder.
        if other.startswith(ref + b"/") or ref.startswith(other + b"/"):
            raise ApiError(409, f"Reference {ref.decode()} conflicts with {other.decode()}")
        if other != ref and short & _short_names(other):
            raise ApiError(409, f"{name} is ambiguous: reference {other.decode()} already exists")
    commits = commits_named(git, name)
    if commits:
        raise ApiError(409, f"{name} is ambiguous: commit {commits[0].decode()} begins with it")


def _short_names(ref: Ref) -> set[bytes]:
    """Returns what git takes for a ref: its path below `refs`, and for branches and tags their name alone."""
    below = ref.removeprefix(b"refs/")
    kind, _, rest = below.partition(b"/")
    return {below, rest} if kind in {b"heads", b"tags"} else {below}


def _taken(ref: Ref) -> ApiError:
    return ApiError(409, f"Reference {ref.decode()} already exists")


def _remove(git: Repo, name: str, ref: Ref) -> None:
    if read_ref(git, ref) is None:
        raise revision_not_found(name)
    remove_ref(git, ref)
