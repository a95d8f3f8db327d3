"""The contents of the target repository, compared with the plan; what a push would change. Read-only, with retries."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hubtune.errors import ArtifactKindError, ConfigError, HubError, RepoNotFoundError, RevisionNotFoundError, advise
from hubtune.hub.client import requests_sent_once
from hubtune.hub.read import Refs, is_private, list_refs, refuse_branch_named, refuse_tag_named, require_readers_get
from hubtune.hub.repo_files import StoredFile, file_content, file_digest, list_files
from hubtune.hub.retries import Retries, Wait
from hubtune.hub.write import tag_taken
from hubtune.publish.plan import ReleasePlan
from hubtune.records.base import Progress
from hubtune.records.release import MANIFEST, PlannedFile

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
