"""The checks before anything is sent, and the contents of the target repository, compared with the plan.

Before training: who publishes, whether they are allowed to, and whether the tag and the kind of artifact fit the
repository. Before the push: what it would change, and that no file contains a secret. Everything here only reads, with
retries.
"""

import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hubtune.config.schema import PublishConfig
from hubtune.errors import (
    ArtifactKindError,
    CanariesError,
    ConfigError,
    HubError,
    PermissionDeniedError,
    RepoNotFoundError,
    RevisionNotFoundError,
    SecretFoundError,
    advise,
)
from hubtune.hub.client import requests_sent_once
from hubtune.hub.read import (
    Identity,
    Refs,
    is_private,
    list_refs,
    refuse_branch_named,
    refuse_tag_named,
    require_readers_get,
    whoami,
)
from hubtune.hub.repo_files import StoredFile, file_content, file_digest, list_files
from hubtune.hub.retries import Retries, Wait
from hubtune.hub.write import tag_taken
from hubtune.publish.plan import ReleasePlan
from hubtune.records.base import Progress
from hubtune.records.release import MANIFEST, PlannedFile
from hubtune.token_forms import find_tokens

MAIN = "main"
# A commit that was made just now may not be everywhere yet.
NOT_THERE_YET: tuple[type[HubError], ...] = (RepoNotFoundError, RevisionNotFoundError)


class FoundManifest(BaseModel):
    """What matters here of the manifest of a release; other versions of hubtune may write more into it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hubtune: str
    tag: str
    artifact: str
    files: dict[str, str]


class RemoteRepo:
    """A repository that a release goes to, or may go to, as it is found.

    Args:
        repo: Its id.
        retries: How often each read is tried.
    """

    def __init__(self, repo: str, retries: Retries) -> None:
        self.repo = repo
        self.retries = retries
        self._listings: dict[str, dict[str, StoredFile]] = {}

    def refs(self, also: tuple[type[HubError], ...] = NOT_THERE_YET) -> Refs:
        """Returns branches and tags as they are now.

        Args:
            also: Errors after which it is tried again; by default the repository is known to exist.
        """
        return self.retries("Reading branches and tags", lambda: list_refs(self.repo), also=also)

    def require_readers_get(self, tag: str, commit: str) -> None:
        """Asks for a release as its readers do; see `hubtune.hub.read.require_readers_get`."""
        self.retries(f"Asking for {tag}", lambda: require_readers_get(self.repo, tag, commit), also=NOT_THERE_YET)

    def files(self, commit: str) -> dict[str, StoredFile]:
        """Returns the files at a commit, which never change."""
        if commit not in self._listings:
            self._listings[commit] = self.retries(
                "Listing files", lambda: list_files(self.repo, commit), also=NOT_THERE_YET
            )
        return self._listings[commit]

    def content(self, commit: str, path: str) -> bytes | None:
        """Returns a file's content at a commit; None if there is no such file."""
        stored = self.files(commit).get(path)
        if stored is None:
            return None
        return self.retries(f"Reading {path}", lambda: file_content(self.repo, commit, path, stored))

    def manifest(self, commit: str) -> FoundManifest | None:
        """Returns the manifest of the release at a commit; None if there is none that hubtune wrote."""
        content = self.content(commit, MANIFEST)
        try:
            return None if content is None else FoundManifest.model_validate_json(content)
        except ValidationError:
            return None

    def holds(self, plan: ReleasePlan, commit: str) -> bool:
        """Whether a commit has every file of the plan, by the digests that it is made of."""
        found = self.files(commit)
        return all(
            path in found and found[path].holds(content, plan.digests[path]) for path, content in plan.files.items()
        )

    def holds_manifest(self, plan: ReleasePlan, commit: str) -> bool:
        """Whether the manifest at a commit is the plan's: then the commit was an attempt at this very release."""
        found = self.files(commit).get(MANIFEST)
        return found is not None and found.holds(plan.files[MANIFEST], plan.digests[MANIFEST])

    def read_back(self, plan: ReleasePlan, commit: str) -> list[str]:
        """Downloads every file of the plan at a commit; names those that are missing or other than they were sent."""
        found = self.files(commit)
        faults = []
        for path, digest in sorted(plan.digests.items()):
            if path not in found:
                faults.append(f"{path}: missing")
            elif (served := self._served(commit, path, digest)) != digest:
                faults.append(f"{path}: sha256 {served} instead of {digest}")
        return faults

    def left_over(self, plan: ReleasePlan, commit: str) -> list[str]:
        """Names the files that the release at a commit brought and the plan does not."""
        before = self.manifest(commit)
        if before is None:
            return []
        return sorted((set(before.files) - set(plan.digests)) & set(self.files(commit)))

    def require_kind(self, artifact: str, commits: Collection[str]) -> None:
        """Checks that none of the commits holds the other kind of artifact.

        Raises:
            ArtifactKindError: One does: loaders would mix them up.
        """
        for commit in commits:
            held = self._artifacts(commit) - {artifact}
            if held:
                kinds = {"adapter": "an adapter", "merged": "a whole model"}
                other = ", ".join(kinds.get(kind, kind) for kind in sorted(held))
                raise ArtifactKindError(
                    f"{self.repo} holds {other} at {commit}, and this release is {kinds.get(artifact, artifact)}: "
                    "clients that find both in one repository load the wrong one.",
                    hint=advise(
                        "--push",
                        f"Publish it to a repository of its own: --push {self.repo}-{artifact}",
                        f"Give it a repository of its own in `publish.repo`, such as {self.repo}-{artifact}.",
                    ),
                )

    def require_private(self) -> None:
        """Checks that the repository, which exists, is private: publishing changes no visibility.

        Raises:
            ConfigError: It is public.
        """
        if not self.retries("Asking whether it is private", lambda: is_private(self.repo), also=NOT_THERE_YET):
            raise ConfigError(
                f"{self.repo} exists and is public, and the release is to be private.",
                hint=advise(
                    "--private",
                    "Make the repository private in its settings, give another one with --push, or leave "
                    "publish.private and --private out.",
                    "Make the repository private in its settings, or change `publish.repo` or `publish.private`.",
                ),
            )

    def _artifacts(self, commit: str) -> set[str]:
        manifest = self.manifest(commit)
        if manifest is not None:
            return {manifest.artifact}
        files = self.files(commit)
        weights = any(
            path.startswith(("model", "pytorch_model")) and path.endswith((".safetensors", ".bin")) for path in files
        )
        found = {"adapter": "adapter_config.json" in files, "merged": weights and "config.json" in files}
        return {kind for kind, is_there in found.items() if is_there}

    def _served(self, commit: str, path: str, digest: str) -> str:
        stored = self.files(commit)[path]

        def read() -> str:
            return self.retries(
                f"Reading {path} back", lambda: file_digest(self.repo, commit, path, stored), also=NOT_THERE_YET
            )

        served = read()
        # Bytes that were damaged on their way come right the second time.
        return served if served == digest else read()


@dataclass(frozen=True)
class Preview:
    """The plan against what is there.

    Attributes:
        exists: Whether the repository does.
        parent: The commit that the release's would be made on.
        published: The commit on which just this release is tagged.
        card: README.md at the parent; None if there is none.
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
