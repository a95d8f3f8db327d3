"""What can be known of a release before training: who publishes, whether they may, the tag, the kind of artifact."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from hubtune.errors import CanariesError, PermissionDeniedError, RepoNotFoundError, SecretFoundError, advise
from hubtune.hub.client import requests_sent_once
from hubtune.hub.read import Identity, refuse_branch_named, refuse_tag_named, whoami
from hubtune.hub.write import tag_taken
from hubtune.publish.remote import MAIN, RemoteRepo, Retries, Wait
from hubtune.records.base import Progress


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


_SHOWN = 4
_SAMPLE = 8192
_BLOCK = 16 << 20


@dataclass(frozen=True)
class _Form:
    """A kind of secret: `marks` are texts of which one is in each such secret, so that most files need no search."""

    kind: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]


def _form(kind: str, marks: str, pattern: str) -> _Form:
    return _Form(kind, tuple(marks.split()), re.compile(pattern))


_FORMS = (
    # https://huggingface.co/docs/hub/security-tokens
    _form("a Hugging Face token", "hf_ api_org_", r"\b(?:hf_(?:oauth_)?|api_org_)[A-Za-z0-9]{20,}"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    _form("an AWS access key", "AKIA ASIA", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    _form(
        "an AWS secret key",
        "secret_access_key SECRET_ACCESS_KEY secretAccessKey",
        r"(?:secret_access_key|SECRET_ACCESS_KEY|secretAccessKey)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    # RFC 7468, and RFC 4880 for PGP
    _form("a private key", "-----BEGIN", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    # https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github
    _form(
        "a GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})",
    ),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    _form("a GitLab token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    # https://docs.slack.dev/authentication/tokens
    _form("a Slack token", "xox", r"\bxox[abposr]-[A-Za-z0-9-]{20,}"),
    # https://cloud.google.com/docs/authentication/api-keys
    _form("a Google API key", "AIza", r"\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    # As these two issuers register them with GitHub's secret scanning
    _form("an OpenAI key", "T3BlbkFJ", r"\bsk-[A-Za-z0-9_-]*T3BlbkFJ[A-Za-z0-9_-]{20,}"),
    _form("an Anthropic key", "sk-ant-", r"\bsk-ant-[a-z]+[0-9]*-[A-Za-z0-9_-]{20,}"),
    # https://docs.stripe.com/keys
    _form("a Stripe key", "k_live_", r"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    # https://pypi.org/help/#apitoken: a macaroon, of which the beginning is always the same
    _form("a PyPI token", "pypi-AgE", r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    # https://docs.npmjs.com/about-access-tokens
    _form("an npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    # RFC 7519: both parts are JSON objects, in base64
    _form("a JSON web token", "eyJ", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    # RFC 3986, 3.2.1
    _form(
        "a password in an address", "://", r"://[^\s:/@?#\"'<>()\[\]{}]+:[^\s:/@?#\"'<>()\[\]{}]{3,}@(?=[A-Za-z0-9])"
    ),
)


def refuse_secrets(
    files: Mapping[str, Path | bytes], token: str | None, *, source: str = "the config, the statements and the data"
) -> None:
    """Looks through every text file.

    Args:
        files: Path in the repository to the content, or to the local file that holds it.
        token: The token in use, which is looked for whatever its form; None where there is none.
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
    for form in _FORMS:
        if not any(mark in text for mark in form.marks):
            continue
        for match in form.pattern.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end in spans):
                yield before + _line(text, match.start()), f"{form.kind} ({match.group().lstrip(':/')[:_SHOWN]}…)"


def _is_secret(token: str) -> bool:
    # An embedded Hub takes any token: a short word, which may stand in any text, protects nothing.
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
