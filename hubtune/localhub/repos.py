"""The repositories on disk: bare git repositories below `repos/`, each with its settings beside git's own files.

Folders keep the spelling that a repository was created with, for people who look at them with git; look-ups do not
regard case.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dulwich.errors import NotGitRepository
from dulwich.repo import Repo
from pydantic import BaseModel, ConfigDict

from hubtune.localhub.api_errors import repo_not_found
from hubtune.localhub.commits import Branch, commit, first_commit
from hubtune.localhub.disk import sync_folder, sync_tree, write_durably
from hubtune.localhub.history_rewrite import copy_history
from hubtune.localhub.hub_folder import repo_folders
from hubtune.localhub.ids import REDIRECTS_FILE, Redirects, RepoId, RepoType
from hubtune.localhub.large_files import GRANTS_FOLDER, LargeFileStore, RepoLargeFiles
from hubtune.localhub.revisions import MAIN

SETTINGS_FILE = "hub.json"
"""A repository's settings, beside git's own files."""


class RepoSettings(BaseModel):
    """What the Hub knows of a repository beyond its git content.

    Attributes:
        private: Whether only members of the namespace see it.
        gated: Whether readers must accept conditions first, and who grants access.
        created: When it was created.
        sdk: What a space runs on.
        description: One line about it, if anybody gave one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    private: bool = False
    gated: Literal[False, "auto", "manual"] = False
    created: datetime
    sdk: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class HubRepo:
    """A repository that exists.

    Attributes:
        id: Its name as it was created.
        path: The bare git repository.
        settings: Its settings at the time of the look-up.
    """

    id: RepoId
    path: Path
    settings: RepoSettings

    @property
    def is_there(self) -> bool:
        """Whether it still is where it was looked up: it may have been deleted or moved since."""
        # dulwich would take a folder without objects for an empty repository.
        return (self.path / SETTINGS_FILE).is_file() and (self.path / "objects").is_dir()

    @property
    def is_same(self) -> bool:
        """Whether it is there and is the one that was looked up: another of its name may have been made since."""
        try:
            found = RepoSettings.model_validate_json((self.path / SETTINGS_FILE).read_bytes())
        except FileNotFoundError:
            return False
        return self.is_there and found.created == self.settings.created

    @contextmanager
    def git(self) -> Iterator[Repo]:
        """Opens the git repository while the context lasts.

        Each request opens its own: dulwich's objects are not made for several threads.

        Raises:
            ApiError: RepoNotFound if the repository went since the look-up, also while it was read.
        """
        if not self.is_there:
            raise repo_not_found(anonymous=False)
        try:
            with Repo(str(self.path), bare=True) as git:
                yield git
        except (NotGitRepository, AssertionError, KeyError, FileNotFoundError) as error:
            if self.is_same:
                raise
            raise repo_not_found(anonymous=False) from error


class RepoStore:
    """All repositories of an embedded Hub.

    Args:
        root: Folder that holds `models/`, `datasets/` and `spaces/`.
        scratch: Where repositories are put together and taken apart; on the same file system.
        large_files: The store that they share.
    """

    def __init__(self, root: Path, scratch: Path, large_files: LargeFileStore) -> None:
        self._root = root
        self._scratch = scratch
        self._large_files = large_files
        self._names = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        for type_ in RepoType:
            (root / type_.plural).mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        self._moves = Redirects(root / REDIRECTS_FILE)

    def find(self, repo_id: RepoId) -> HubRepo | None:
        """Returns the repository with this id, in whatever spelling, or the one that was moved from there, or None."""
        found = self.find_exactly(repo_id)
        if found is None and (target := self._moves.target(repo_id)) is not None:
            return self.find_exactly(target)
        return found

    def find_exactly(self, repo_id: RepoId) -> HubRepo | None:
        """Returns the repository that has this id now, in whatever spelling, or None."""
        folder: Path | None = self._root / repo_id.type.plural
        namespace = None
        if repo_id.namespace is not None and folder is not None:
            folder = _child(folder, repo_id.namespace)
            namespace = folder.name if folder else None
        path = _child(folder, f"{repo_id.name}.git") if folder else None
        if path is None:
            return None
        try:
            settings = RepoSettings.model_validate_json((path / SETTINGS_FILE).read_bytes())
        except FileNotFoundError:
            # Deleted or moved in this moment.
            return None
        return HubRepo(RepoId(repo_id.type, namespace, path.name.removesuffix(".git")), path, settings)

    def list(self, type_: RepoType) -> Iterator[HubRepo]:
        """Yields every repository of a type, by path."""
        folder = self._root / type_.plural
        for path in sorted([*folder.glob("*.git"), *folder.glob("*/*.git")]):
            found = self.find_exactly(RepoId.parse(type_, path.relative_to(folder).as_posix().removesuffix(".git")))
            if found is not None:
                yield found

    def close_private(self) -> None:
        """Takes the folders of private repositories, which earlier versions left open, from other users' eyes."""
        for path in repo_folders(self._root):
            try:
                settings = RepoSettings.model_validate_json((path / SETTINGS_FILE).read_bytes())
            except (ValueError, OSError):
                # Who asks for it is told of the damage, and so is `hub fsck`.
                continue
            if settings.private:
                path.chmod(_mode(private=True))

    def create(self, repo_id: RepoId, *, author: str, private: bool = False, sdk: str | None = None) -> HubRepo | None:
        """Makes a repository with its first commit; it appears complete or not at all.

        Returns:
            The new repository, or None if the name is taken.
        """
        settings = RepoSettings(private=private, created=datetime.now(UTC), sdk=sdk)
        first = first_commit(repo_id, sdk)
        with self._names:
            if self.find_exactly(repo_id) is not None:
                return None
            with self._draft(settings) as draft, Repo(str(draft), bare=True) as git:
                commit(Branch(git, MAIN, RepoLargeFiles(self._large_files, draft)), first, author)
                self._place(draft, repo_id)
        return self.find_exactly(repo_id)

    def duplicate(self, repo: HubRepo, to: RepoId, *, private: bool | None = None) -> HubRepo | None:
        """Makes a repository with the branches, tags and history of another; nothing of its discussions.

        Args:
            repo: The repository to copy.
            to: The new name.
            private: Whether only members of the namespace see the copy; None keeps what the original has.

        Returns:
            The new repository, or None if the name is taken.
        """
        kept = {"created": datetime.now(UTC)} | ({} if private is None else {"private": private})
        with self._names, self.lock(repo):
            if self.find_exactly(to) is not None:
                return None
            with self._draft(repo.settings.model_copy(update=kept)) as draft:
                with repo.git() as source, Repo(str(draft), bare=True) as target:
                    pointers = copy_history(source, target)
                here, there = (RepoLargeFiles(self._large_files, path) for path in (repo.path, draft))
                # The content must not go before the copy mentions it where others look.
                with self._large_files.changing:
                    for sha256 in sorted(pointers & here.all()):
                        there.add(sha256)
                    self._place(draft, to)
        return self.find_exactly(to)

    def move(self, repo: HubRepo, to: RepoId) -> HubRepo | None:
        """Gives a repository another name; requests for the old one find it until another repository takes it.

        Returns:
            The repository under its new name, or None if that is taken.
        """
        with self._names, self.lock(repo):
            taken = self.find_exactly(to)
            # A change of spelling alone is a move too.
            if taken is not None and taken.path != repo.path:
                return None
            parent = self._namespace(to)
            # Noted first: were the note lost instead, the old name would lead nowhere.
            self._moves.note(repo.id, to)
            repo.path.rename(parent / f"{to.name}.git")
            sync_folder(parent)
            sync_folder(repo.path.parent)
        return self.find_exactly(to)

    def configure(self, repo: HubRepo, changes: Mapping[str, object]) -> RepoSettings:
        """Changes settings of a repository and returns all of them."""
        with self.lock(repo):
            current = RepoSettings.model_validate_json((repo.path / SETTINGS_FILE).read_bytes())
            settings = RepoSettings.model_validate({**current.model_dump(), **changes})
            if settings.private:
                repo.path.chmod(_mode(private=True))
            write_durably(repo.path / SETTINGS_FILE, settings.model_dump_json(indent=2).encode())
            repo.path.chmod(_mode(private=settings.private))
        return settings

    def delete(self, repo: HubRepo) -> None:
        """Removes a repository; its large files stay, as others may share them."""
        with self._names, self.lock(repo):
            grave = Path(tempfile.mkdtemp(dir=self._scratch))
            repo.path.rename(grave / repo.path.name)
            sync_folder(repo.path.parent)
        shutil.rmtree(grave)

    @contextmanager
    def lock(self, repo: HubRepo) -> Iterator[None]:
        """Holds the lock that whoever changes the repository must hold.

        Raises:
            ApiError: RepoNotFound if the repository went while others held the lock.
        """
        with self._locks.setdefault(repo.id.key, threading.Lock()):
            if not repo.is_same:
                raise repo_not_found(anonymous=False)
            yield

    def _namespace(self, repo_id: RepoId) -> Path:
        parent = self._root / repo_id.type.plural
        if repo_id.namespace is not None:
            parent = _child(parent, repo_id.namespace) or parent / repo_id.namespace
        parent.mkdir(exist_ok=True)
        sync_folder(parent.parent)
        return parent

    @contextmanager
    def _draft(self, settings: RepoSettings) -> Iterator[Path]:
        """Gives a repository without commits, out of sight until it is placed; removes it if that fails."""
        draft = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            draft.chmod(_mode(private=settings.private))
            with Repo.init_bare(str(draft), default_branch=b"main") as git:
                config = git.get_config()
                config.set((b"core",), b"fsyncObjectFiles", True)
                config.write_to_path()
            write_durably(draft / SETTINGS_FILE, settings.model_dump_json(indent=2).encode())
            (draft / GRANTS_FOLDER).mkdir()
            yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _place(self, draft: Path, repo_id: RepoId) -> None:
        parent = self._namespace(repo_id)
        sync_tree(draft)
        draft.rename(parent / f"{repo_id.name}.git")
        sync_folder(parent)


def _mode(*, private: bool) -> int:
    # Who else has an account on this machine reads a private repository no more than who has none on the Hub.
    return 0o700 if private else 0o755


def _child(folder: Path, name: str) -> Path | None:
    exact = folder / name
    if exact.is_dir():
        return exact
    if not folder.is_dir():
        return None
    return next((child for child in folder.iterdir() if child.name.casefold() == name.casefold()), None)
