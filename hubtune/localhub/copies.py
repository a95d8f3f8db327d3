"""Copies a repository's history into another: what its branches and tags lead to, and nothing else."""

from collections.abc import Mapping

from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from hubtune.localhub.large_file_uses import large_file_uses

_KEPT = (b"refs/heads/", b"refs/tags/")


def copy_history(source: Repo, target: Repo) -> set[str]:
    """Copies branches and tags with all that they lead to; pull requests stay where they were discussed.

    Args:
        source: The repository to copy from, which nobody changes meanwhile.
        target: A repository without commits.

    Returns:
        The digests of the large files that the copied history refers to.
    """
    refs = {ref: sha for ref, sha in source.refs.as_dict().items() if ref.startswith(_KEPT)}

    def wanted(_refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - dulwich's
        return list(dict.fromkeys(refs.values()))

    source.fetch(target, determine_wants=wanted)
    for ref, sha in refs.items():
        target.refs[ref] = sha
    return {use.pointer.sha256 for use in large_file_uses(target)}
