"""The exchange repository of remote runs: a private data set repository through which this machine and a job talk.

Each run has a branch of its own. This machine puts the config, the lock and the request there. The job takes the
request by a commit on just that one, so that of two jobs for one request only the first does it; at the end it puts the
run there.
Both sides use nothing but commits, so whatever was lost on the way is settled by looking at the branch.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import ValidationError

from hubtune.errors import ConfigError, HubError, PublishConflictError, RemoteJobError
from hubtune.hub import write
from hubtune.hub.client import requests_sent_once
from hubtune.hub.read import is_private, list_refs
from hubtune.hub.repo_files import StoredFile, download_file, list_files, read_files
from hubtune.hub.retries import Retries, Wait
from hubtune.publish.preflight import MAIN, NOT_THERE_YET
from hubtune.records.base import Progress, sha256_bytes, sha256_file
from hubtune.records.remote import JobRecord

T = TypeVar("T")

NAME = "hubtune-jobs"
"""The repository's name, in the namespace of whoever runs the job."""
CONFIG, LOCK, REQUEST, TAKEN = "hubtune.yaml", "hubtune.lock", "request.json", "job.json"
_RUN = "run/"
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Exchange:
    """One run's branch of the exchange repository.

    Attributes:
        repo: The repository.
        branch: The branch.
        progress: Reports the reason for a wait.
        wait: Waits so many seconds before another attempt.
    """

    repo: str
    branch: str
    progress: Progress
    wait: Wait = time.sleep

    def open(self) -> str:
        """Makes the repository and the branch, if they do not exist, and returns the branch's head.

        Raises:
            ConfigError: The repository is public.
            HubError: They cannot be made.
        """

        def make() -> str:
            write.create_repo(self.repo, "dataset", private=True)
            if not is_private(self.repo, "dataset"):
                raise ConfigError(
                    f"The dataset repository {self.repo}, through which a job gets its config and returns its run, is "
                    "public.",
                    hint="Make it private in its settings on the Hub, or rename it; then run the command again.",
                )
            branches = list_refs(self.repo, "dataset").branches
            if self.branch not in branches:
                write.create_branch(self.repo, self.branch, branches[MAIN], "dataset")
            return self.head()

        return self._retry(f"Opening {self.repo}", make, also=NOT_THERE_YET)

    def head(self) -> str:
        """Returns the commit that the branch is on.

        Raises:
            HubError: There is no such branch.
        """
        found = list_refs(self.repo, "dataset").branches.get(self.branch)
        if found is None:
            raise HubError(
                f"{self.repo} has no branch {self.branch}, which the run belongs to.",
                hint="Someone deleted it: start a new run, without --resume.",
            )
        return found

    def put(self, files: Mapping[str, Path | bytes], parent: str, message: str, delete: Collection[str] = ()) -> str:
        """Makes one commit on the branch, and returns it; the same commit is never made twice.

        Raises:
            RemoteJobError: The branch has moved on, by somebody else's commit.
            HubError: The Hub refused, or could not be reached.
        """
        draft = write.CommitDraft(files, parent, message, delete)

        def commit() -> str:
            head = self.head()
            if head == parent:
                try:
                    return write.commit(self.repo, draft, "dataset", self.branch)
                except PublishConflictError as error:
                    head = self.head()
                    if head == parent:
                        error.passing = True
                        raise
            # An earlier attempt whose answer was lost; or another one.
            there = list_files(self.repo, head, "dataset")
            if all(path in there and _is(there[path], content) for path, content in files.items()):
                return head
            raise moved_on(self)

        return self._retry(f"Writing to {self.repo}", commit, also=NOT_THERE_YET)

    def read(self, commit: str, names: Collection[str]) -> dict[str, bytes]:
        """Returns the content of small files at a commit.

        Raises:
            RemoteJobError: One is missing, or is longer than any that hubtune writes.
            HubError: They are not available.
        """
        listed = self._retry(f"Reading {self.repo}", lambda: list_files(self.repo, commit, "dataset"))
        for name in names:
            if name not in listed or listed[name].size > _MOST_BYTES:
                raise RemoteJobError(
                    f"{self.repo} at {commit} does not hold a request for a run: {name} is missing or too long.",
                    hint="Start a new run with --remote.",
                )
        return self._retry(f"Reading {self.repo}", lambda: read_files(self.repo, "dataset", commit, names))

    def renew(self, request: bytes, ended: Collection[str]) -> str:
        """Puts a request onto the branch again, for another job; returns the commit.

        Args:
            request: The request.
            ended: The ids of the jobs that may have claimed the earlier one. They have ended.

        Raises:
            RemoteJobError: Another job has claimed it.
            HubError: As `put`.
        """
        head = self.head()
        there = self._retry(f"Reading {self.repo}", lambda: list_files(self.repo, head, "dataset"))
        claims = [TAKEN] if TAKEN in there else []
        if claims and parse_job(self.read(head, claims)[TAKEN]).id not in ended:
            raise moved_on(self)
        return self.put({REQUEST: request}, head, "Request again", claims)

    def put_run(self, run: Path, parent: str, message: str, *, leave_out: Collection[str]) -> str:
        """Commits the files of a run directory to the branch, in one commit that replaces earlier files of the run.

        Args:
            run: The run directory.
            parent: The branch's head.
            message: The commit's message.
            leave_out: Names of files and folders of the run that stay here.

        Raises:
            HubError: As `put`.
        """
        files: dict[str, Path | bytes] = {
            _RUN + path.relative_to(run).as_posix(): path
            for path in sorted(run.rglob("*"))
            if path.is_file() and path.relative_to(run).parts[0] not in leave_out
        }
        there = self._retry(f"Reading {self.repo}", lambda: list_files(self.repo, parent, "dataset"))
        gone = [path for path in there if path.startswith(_RUN) and path not in files]
        return self.put(files, parent, message, gone)

    def fetch_run(self, commit: str, folder: Path) -> list[str]:
        """Downloads the files of the run at a commit into a folder, and returns their paths there.

        Raises:
            HubError: They are not available.
            DiskFullError: There is no room for them.
        """
        listed = self._retry(f"Reading {self.repo}", lambda: list_files(self.repo, commit, "dataset"))
        wanted = {path.removeprefix(_RUN): stored for path, stored in listed.items() if path.startswith(_RUN)}
        if not wanted:
            return []
        total = sum(stored.size for stored in wanted.values())
        with self.progress.task("Fetching the run", total, unit="bytes") as task:
            for name, stored in wanted.items():
                self._retry(f"Fetching {name}", self._fetching(commit, name, stored, folder))
                task.advance(stored.size, note=name)
        return [*wanted]

    def _fetching(self, commit: str, name: str, stored: StoredFile, folder: Path) -> Callable[[], None]:
        target = folder.joinpath(*PurePosixPath(name).parts)

        def fetch() -> None:
            target.unlink(missing_ok=True)
            download_file(self.repo, commit, _RUN + name, stored, target)

        return fetch

    def _retry(self, doing: str, work: Callable[[], T], *, also: tuple[type[HubError], ...] = ()) -> T:
        with requests_sent_once():
            return Retries(self.progress, self.wait)(doing, work, also=also)


def parse_job(content: bytes) -> JobRecord:
    """Reads what a job wrote as it claimed a request.

    Raises:
        RemoteJobError: It is not that.
    """
    try:
        return JobRecord.model_validate_json(content)
    except ValidationError as error:
        raise RemoteJobError(
            f"{TAKEN} on the branch of the run is not what a job writes.", hint="Start a new run with --remote."
        ) from error


def moved_on(exchange: Exchange) -> RemoteJobError:
    """Returns the error for a request that another job has taken, or another machine has changed."""
    return RemoteJobError(
        f"Another job or machine has written to the branch {exchange.branch} of {exchange.repo} meanwhile.",
        hint="Look at the jobs that run: hf jobs ps",
    )


def _is(stored: StoredFile, content: Path | bytes) -> bool:
    digest = sha256_bytes(content) if isinstance(content, bytes) else sha256_file(content)
    return stored.holds(content, digest)
