"""What can be known of a release before training: who publishes, whether they may, and whether the tag is free."""

from hubtune.errors import PermissionDeniedError, RepoNotFoundError
from hubtune.hub.read import find_tag, whoami
from hubtune.hub.write import tag_taken


def check_target(repo: str, tag: str) -> str:
    """Checks that the token may write to the repository and that the tag is not taken; writes nothing.

    Returns:
        The name of the account that the token belongs to.

    Raises:
        MissingTokenError: There is no token.
        InvalidTokenError: The Hub does not accept it.
        PermissionDeniedError: It may only read, or the namespace belongs to somebody else.
        TagExistsError: The tag is on a commit already.
    """
    name = check_writer(repo)
    try:
        taken = find_tag(repo, tag)
    except RepoNotFoundError:
        taken = None
    if taken is not None:
        raise tag_taken(repo, tag, taken)
    return name


def check_writer(repo: str) -> str:
    """Checks that the token may write to the repository; writes nothing.

    Returns:
        The name of the account that the token belongs to.

    Raises:
        HubError: As `check_target`, but for the tag.
    """
    identity = whoami()
    namespace = repo.partition("/")[0]
    if not identity.may_write_to(namespace):
        why = (
            f"the token has the role `{identity.role}`"
            if identity.role in ("read", "pr")
            else f"{namespace} is neither this account nor one of its organisations "
            f"({', '.join(sorted(identity.orgs)) or 'it has none'})"
        )
        raise PermissionDeniedError(
            f"{identity.name} may not publish to {repo}: {why}.",
            hint="Use a token with write access there, or publish to another repository: --push namespace/name.",
        )
    return identity.name
