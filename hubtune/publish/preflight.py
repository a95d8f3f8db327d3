"""What can be known of a release before training: who publishes, whether they may, the tag, the kind of artifact."""

import time

from hubtune.errors import CanariesError, PermissionDeniedError, RepoNotFoundError, advise
from hubtune.hub.read import Identity, refuse_branch_named, refuse_tag_named, whoami
from hubtune.hub.session import requests_sent_once
from hubtune.hub.write import tag_taken
from hubtune.publish.remote import MAIN, RemoteRepo
from hubtune.publish.retries import Retries, Wait
from hubtune.records.progress import Progress


def check_target(
    repo: str,
    tag: str,
    progress: Progress,
    *,
    artifact: str = "adapter",
    branch: str = MAIN,
    private: bool = False,
    propose: bool = False,
    wait: Wait = time.sleep,
) -> str:
    """Checks that a release may go to the repository; writes nothing.

    Args:
        repo: The repository, which need not exist.
        tag: The release's tag.
        progress: Told why one waits.
        artifact: `adapter` or `merged`.
        branch: Where the commit is to go.
        private: Whether the repository has to be private.
        propose: Whether it is to be a pull request, which needs a repository that exists.
        wait: Waits so many seconds before another attempt.

    Returns:
        The name of the account that the token belongs to.

    Raises:
        MissingTokenError: There is no token.
        InvalidTokenError: The Hub does not accept it.
        PermissionDeniedError: It may only read, or the namespace belongs to somebody else.
        RepoNotFoundError: It is to be a pull request, and there is no such repository.
        TagExistsError: The tag is on a commit already.
        AmbiguousRevisionError: A branch has the tag's name.
        ArtifactKindError: The repository holds the other kind of artifact.
        ConfigError: It has to be private, and is public.
    """
    identity = check_publisher(repo, progress, propose=propose, wait=wait)
    with requests_sent_once():
        remote = RemoteRepo(repo, Retries(progress, wait))
        try:
            refs = remote.refs(also=())
        except RepoNotFoundError as error:
            if propose:
                error.hint = "A pull request needs a repository that exists; ask one of its owners to create it."
                raise
            return identity.name
        refuse_branch_named(repo, tag, refs)
        refuse_tag_named(repo, branch, refs)
        if tag in refs.tags:
            raise tag_taken(repo, tag, refs.tags[tag])
        if private:
            remote.require_private()
        heads = [refs.branches[name] for name in (MAIN, branch) if name in refs.branches]
        remote.require_kind(artifact, dict.fromkeys(heads))
    return identity.name


def refuse_canaries(planted: int) -> None:
    """Refuses to publish what was trained, or is to be, on this many planted secrets.

    Raises:
        CanariesError: There are some.
    """
    if planted:
        secrets = "1 planted secret" if planted == 1 else f"{planted:,} planted secrets"
        raise CanariesError(
            f"A run that was trained on {secrets} (evaluate.canaries) measures memorisation and is not published.",
            hint="Set evaluate.canaries to 0 and train again: hubtune run -s evaluate.canaries=0",
        )


def check_publisher(repo: str, progress: Progress, *, propose: bool = False, wait: Wait = time.sleep) -> Identity:
    """Checks that the token may write to the repository, or open a pull request there; see `check_target`."""
    with requests_sent_once():
        identity = Retries(progress, wait)("Asking who the token belongs to", whoami)
    if propose and not identity.may_propose:
        raise PermissionDeniedError(
            f"{identity.name} may not open pull requests: the token has the role `{identity.role}`.",
            hint="Use a token that may write, or open pull requests.",
        )
    if not propose:
        _require_write(
            identity,
            repo,
            hint=advise(
                "--create-pr",
                "Use a token with write access there, or give another repository with --push. With "
                + ("one that may open pull requests" if identity.role == "read" else "this one")
                + ", add --create-pr to propose the release to its owners.",
                "Use a token with write access there, or give another repository in `publish.repo`.",
            ),
        )
    return identity


def _require_write(identity: Identity, repo: str, *, hint: str) -> None:
    namespace = repo.partition("/")[0]
    if identity.may_write_to(namespace):
        return
    why = (
        f"the token has the role `{identity.role}`"
        if identity.role in ("read", "pr")
        else f"{namespace} is neither this account nor one of its organisations "
        f"({', '.join(sorted(identity.orgs)) or 'it has none'})"
    )
    raise PermissionDeniedError(
        f"{identity.name} may not publish to {repo}: {why}.",
        hint=hint,
    )
