"""The checks before anything is sent.

Before training: who publishes, whether they are allowed to, and whether the tag and the kind of artifact fit the
repository. Before the push: that no file contains a secret.
"""

import re
import time
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from hubtune.config.schema import PublishConfig
from hubtune.errors import CanariesError, PermissionDeniedError, RepoNotFoundError, SecretFoundError, advise
from hubtune.hub.client import requests_sent_once
from hubtune.hub.read import Identity, refuse_branch_named, refuse_tag_named, whoami
from hubtune.hub.retries import Retries, Wait
from hubtune.hub.write import tag_taken
from hubtune.publish.remote import MAIN, RemoteRepo
from hubtune.records.base import Progress
from hubtune.token_forms import find_tokens

_SHOWN = 4
_SAMPLE = 8192
_BLOCK = 16 << 20


def check_target(
    repo: str, publish: PublishConfig, progress: Progress, *, propose: bool = False, wait: Wait = time.sleep
) -> str:
    """Checks that a release may go to the repository; writes nothing.

    Args:
        repo: The repository, which need not exist.
        publish: The release's tag and artifact, the branch, and whether the repository has to be private.
        progress: Reports the reason for a wait.
        propose: Whether it is to be a pull request, which needs a repository that exists.
        wait: Waits this many seconds before the next attempt.

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
        refuse_branch_named(repo, publish.tag, refs)
        refuse_tag_named(repo, publish.branch, refs)
        if publish.tag in refs.tags:
            raise tag_taken(repo, publish.tag, refs.tags[publish.tag])
        if publish.private:
            remote.require_private()
        heads = [refs.branches[name] for name in (MAIN, publish.branch) if name in refs.branches]
        remote.require_kind(publish.artifact, dict.fromkeys(heads))
    return identity.name


def refuse_canaries(planted: int) -> None:
    """Refuses to publish what was trained, or is to be, on this many planted secrets.

    Raises:
        CanariesError: There are some.
    """
    if planted:
        secrets = "1 planted secret" if planted == 1 else f"{planted:,} planted secrets"
        raise CanariesError(
            f"A run that was trained on {secrets} (evaluate.canaries) measures memorization and is not published.",
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


def refuse_secrets(
    files: Mapping[str, Path | bytes], token: str | None, *, source: str = "the config, the statements and the data"
) -> None:
    """Searches every text file.

    Args:
        files: Path in the repository to the content, or to the local file that holds it.
        token: The token in use, which is searched for in any form; None if there is none.
        source: Where the user finds what the files were made of, for the advice.

    Raises:
        SecretFoundError: Naming each secret's file and line, and of the secret itself only how it begins.
    """
    found = [
        f"{path}, line {line}: {what}"
        for path, content in sorted(files.items())
        for before, text in _blocks(content)
        for line, what in _secrets(text, token, before)
    ]
    if found:
        count = "1 secret" if len(found) == 1 else f"{len(found)} secrets"
        raise SecretFoundError(
            f"What was about to be published holds {count}; nothing was sent.",
            details=found,
            hint=f"Take them out of {source}, then run the command again; and revoke each one that others may have "
            "seen.",
        )


def _secrets(text: str, token: str | None, before: int) -> Iterator[tuple[int, str]]:
    spans: list[tuple[int, int]] = []
    if token and _is_secret(token):
        for match in re.finditer(re.escape(token), text):
            spans.append(match.span())
            yield before + _line(text, match.start()), "the token in use"
    for found in find_tokens(text):
        if not any(start < found.end and found.start < end for start, end in spans):
            spans.append((found.start, found.end))
            shown = text[found.match_start : found.start] or text[found.start : found.end]
            yield before + _line(text, found.match_start), f"{found.form.kind} ({shown.lstrip(':/')[:_SHOWN]}…)"


def _is_secret(token: str) -> bool:
    # An embedded Hub takes any token: a short word, which may be in any text, protects nothing.
    return len(token) >= 20 or (len(token) >= 8 and not token.isalpha())


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _blocks(content: Path | bytes) -> Iterator[tuple[int, str]]:
    """Yields a text file's lines, many at a time, with the number of lines before them; nothing of other files."""
    with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        if b"\0" in file.read(_SAMPLE):
            return
        file.seek(0)
        before = 0
        # No secret goes over the end of a line, and no file needs to fit into memory.
        while block := file.read(_BLOCK) + file.readline(_BLOCK):
            text = block.decode(errors="replace")
            yield before, text
            before += text.count("\n")
