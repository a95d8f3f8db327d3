"""Everything that the parts of a running Hub share."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from hubtune.localhub.accounts import Accounts
from hubtune.localhub.disk import sync_folder
from hubtune.localhub.hub_folder import HubFolder, clear_leftovers
from hubtune.localhub.large_files import LargeFileStore, RepoLargeFiles, restore_ledgers
from hubtune.localhub.repos import HubRepo, RepoStore
from hubtune.localhub.request_log import RequestLog


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
        """Opens the Hub in a folder, which is filled in where it is new."""
        # Nobody else uses the folder now.
        clear_leftovers(folder)
        large_files = LargeFileStore(folder.objects, folder.scratch)
        repos = RepoStore(folder.repos, folder.scratch, large_files)
        restore_ledgers(folder)
        repos.close_private()
        # Where they are new, what is written below them must not be lost with their names.
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
