"""Everything that the parts of a running Hub share."""

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from hubtune.localhub.accounts import Accounts
from hubtune.localhub.large_files import LargeFileStore
from hubtune.localhub.repos import RepoStore
from hubtune.localhub.request_log import RequestLog


@dataclass(frozen=True)
class HubState:
    """The stores of a Hub's folder and what guards them.

    Attributes:
        repos: The git repositories.
        large_files: The large files that they share.
        accounts: Who may do what.
        log: The request log.
        upload_key: Signs upload addresses, because clients send no token with an upload. New with each start.
    """

    repos: RepoStore
    large_files: LargeFileStore
    accounts: Accounts
    log: RequestLog
    upload_key: bytes

    @classmethod
    def open(cls, root: Path, accounts: Accounts) -> "HubState":
        """Opens the Hub in a folder, which is filled in where it is new."""
        scratch = root / "tmp"
        # What an earlier run did not finish; nobody else uses the folder now.
        shutil.rmtree(scratch, ignore_errors=True)
        large_files = LargeFileStore(root / "objects", scratch)
        return cls(
            repos=RepoStore(root / "repos", scratch, large_files),
            large_files=large_files,
            accounts=accounts,
            log=RequestLog(root / "requests.jsonl"),
            upload_key=secrets.token_bytes(32),
        )
