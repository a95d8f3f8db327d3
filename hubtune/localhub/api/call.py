"""What a handler gets: the stores of the running Hub, and one request.

The request is decoded once, and its user and repository are looked up and checked here, so that no handler forgets it.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from dulwich.objects import ObjectID
from dulwich.repo import Repo
from starlette.datastructures import Headers, QueryParams

from hubtune.localhub.accounts import Accounts, User, check_gate, may_read
from hubtune.localhub.api_errors import ApiError, forbidden, read_object, repo_not_found
from hubtune.localhub.disk import sync_folder
from hubtune.localhub.hub_folder import HubFolder, clear_leftovers
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.large_files import LargeFileStore, RepoLargeFiles, restore_grants
from hubtune.localhub.repos import HubRepo, RepoStore
from hubtune.localhub.request_log import RequestLog, RequestNote
from hubtune.localhub.revisions import resolve

_TRUE = {"1", "true"}
# So that it fits in 64 bits.
_MOST_DIGITS = 18


@dataclass(frozen=True)
class HubState:
    """The stores of a Hub's folder and what guards them.

    Attributes:
        repos: The git repositories.
        large_files: The large files that they share.
        accounts: Who may do what.
        log: The request log.
        scratch: Where long bodies wait; emptied at each start.
        upload_key: Signs upload addresses, because clients send no token with an upload. New with each start.
    """

    repos: RepoStore
    large_files: LargeFileStore
    accounts: Accounts
    log: RequestLog
    scratch: Path
    upload_key: bytes

    @classmethod
    def open(cls, folder: HubFolder, accounts: Accounts) -> "HubState":
        """Opens the Hub in a folder, which is filled in if it is new."""
        # Nobody else uses the folder now.
        clear_leftovers(folder)
        large_files = LargeFileStore(folder.objects, folder.scratch)
        repos = RepoStore(folder.repos, folder.scratch, large_files)
        restore_grants(folder)
        repos.close_private()
        # If they are new, what is written below them must not be lost with their names.
        sync_folder(folder.repos)
        sync_folder(folder.root)
        return cls(
            repos=repos,
            large_files=large_files,
            accounts=accounts,
            log=RequestLog(folder.requests, accounts.tokens),
            scratch=folder.scratch,
            upload_key=secrets.token_bytes(32),
        )

    def large_files_of(self, repo: HubRepo) -> RepoLargeFiles:
        """Returns the large files as a repository sees them."""
        return RepoLargeFiles(self.large_files, repo.path)


@dataclass(frozen=True)
class Call:
    """A request with everything that is needed to answer it.

    Attributes:
        hub: The stores.
        method: The HTTP method.
        params: The decoded parts of the path: `type`, `id`, `rev`, `path`, as the route has them.
        query: The query string.
        headers: The request's headers.
        user: Who asks, or None.
        endpoint: The Hub's own address as this client knows it, for links in answers.
        note: The line for the request log.
        body: The request's body; empty for streamed and spooled ones.
        file: The body where it is spooled.
    """

    hub: HubState
    method: str
    params: Mapping[str, str]
    query: QueryParams
    headers: Headers
    user: User | None
    endpoint: str
    note: RequestNote
    body: bytes = b""
    file: BinaryIO = field(default_factory=BytesIO)

    @property
    def repo_type(self) -> RepoType:
        """The type that the path names; download paths name none for models."""
        return RepoType.from_plural(self.params.get("type") or "models")

    @property
    def revision(self) -> str:
        """The revision as asked for; main if the path has none."""
        return self.params.get("rev") or "main"

    def json(self) -> Mapping[str, object]:
        """Returns the body, a JSON object.

        Raises:
            ApiError: If it is something else.
        """
        return read_object(self.body or b"{}", "The body")

    def flag(self, name: str) -> bool:
        """Says whether a query parameter is switched on."""
        return self.query.get(name, "").lower() in _TRUE

    def number(self, name: str, default: int, *, least: int = 1, most: int) -> int:
        """Returns a query parameter that counts something, kept between `least` and `most`."""
        number = read_number(self.query.get(name, ""))
        return default if number is None else min(max(number, least), most)

    def url(self, path: str) -> str:
        """Returns an absolute address on this Hub."""
        return f"{self.endpoint}/{path}"

    def signed_in(self) -> User:
        """Returns the user.

        Raises:
            ApiError: 401 for nobody.
        """
        if self.user is None:
            raise ApiError(401, "Invalid username or password.")
        return self.user

    def readable(self, repo_id: RepoId | None = None) -> HubRepo:
        """Returns the repository of the path, or the one named.

        Raises:
            ApiError: RepoNotFound if it does not exist or the user must not see it.
        """
        repo = self.hub.repos.find(repo_id or self._asked())
        if repo is None or not may_read(self.user, repo):
            raise repo_not_found(anonymous=self.user is None)
        return repo

    def writable(self) -> HubRepo:
        """Returns the repository of the path.

        Raises:
            ApiError: As `readable`; 401 for nobody, 403 for a user who may only read.
        """
        repo = self.readable()
        if not self.signed_in().may_write(repo.id):
            raise forbidden()
        return repo

    def discussable(self) -> HubRepo:
        """Returns the repository of the path to one who may open pull requests there and discuss them.

        Raises:
            ApiError: As `readable`; 401 for nobody, 403 for a token that may only read; GatedRepo.
        """
        repo = self.readable()
        if not self.signed_in().may_propose:
            raise forbidden()
        return self.gated(repo)

    def gated(self, repo: HubRepo) -> HubRepo:
        """Returns the repository to one who may read its files.

        Raises:
            ApiError: GatedRepo if access must be asked for first.
        """
        check_gate(self.user, repo, self.url(repo.id.url_path))
        return repo

    @contextmanager
    def open(self, repo: HubRepo | None = None) -> Iterator[tuple[HubRepo, Repo, ObjectID]]:
        """Opens the repository of the path, or the one given, for reading at the commit that its revision means."""
        repo = repo or self.readable()
        with repo.git() as git:
            yield repo, git, resolve(git, self.revision)

    def _asked(self) -> RepoId:
        try:
            return RepoId.parse(self.repo_type, self.params["id"])
        except ApiError as error:
            # No repository can have such a name, and clients look for this code rather than for a bad request.
            raise repo_not_found(anonymous=self.user is None) from error


def read_number(text: str) -> int | None:
    """Returns the number that a client wrote, or None if it is none, or none of a size that occurs."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
