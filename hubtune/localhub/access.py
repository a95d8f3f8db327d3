"""Gated repositories: who asked for access, who has it, and what the others get as an answer."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from hubtune.localhub.accounts import User
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.disk import write_durably
from hubtune.localhub.repos import HubRepo

Status = Literal["pending", "accepted", "rejected"]

_FILE = "access.json"


class AccessRequest(BaseModel):
    """What a user asked of a gated repository and what became of it.

    Attributes:
        id: Names the request where user names are not shown.
        user: Who asks.
        status: Where the request stands.
        timestamp: When the user asked, or was granted access without asking.
        reviewed: When somebody, or the repository's automatic mode, decided; None while pending.
        granted_by: Who gave access without being asked, or None.
        rejection_reason: What the user is told.
        fields: The user's answers to the questions of the card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    user: str
    status: Status
    timestamp: datetime
    reviewed: datetime | None = None
    granted_by: str | None = None
    rejection_reason: str | None = None
    fields: dict[str, str] = {}

    @classmethod
    def new(
        cls, user: str, status: Status, *, granted_by: str | None = None, fields: dict[str, str] | None = None
    ) -> "AccessRequest":
        """Returns a request that is made now."""
        now = datetime.now(UTC)
        return cls(
            id=secrets.token_hex(12),
            user=user,
            status=status,
            timestamp=now,
            reviewed=None if status == "pending" else now,
            granted_by=granted_by,
            fields=fields or {},
        )


_REQUESTS = TypeAdapter(list[AccessRequest])


class AccessList:
    """The access requests of one repository; who changes them holds the repository's lock.

    Args:
        repo: The folder of the repository.
    """

    def __init__(self, repo: Path) -> None:
        self._path = repo / _FILE

    def all(self) -> list[AccessRequest]:
        """Returns every request, the oldest first."""
        try:
            return _REQUESTS.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return []

    def of(self, user: str) -> AccessRequest | None:
        """Returns the user's request, or None."""
        return next((request for request in self.all() if request.user.casefold() == user.casefold()), None)

    def put(self, request: AccessRequest) -> None:
        """Adds a request, in place of the one that the user had."""
        others = [other for other in self.all() if other.user.casefold() != request.user.casefold()]
        self._write([*others, request])

    def remove(self, request: AccessRequest) -> None:
        """Forgets a request."""
        self._write([other for other in self.all() if other.id != request.id])

    def _write(self, requests: list[AccessRequest]) -> None:
        write_durably(self._path, _REQUESTS.dump_json(requests, indent=2))


def check_gate(user: User | None, repo: HubRepo, address: str) -> None:
    """Refuses the files of a gated repository to those who were not granted access.

    Args:
        user: Who asks, or None.
        repo: A repository that they may see.
        address: Of the repository's page, for the message.

    Raises:
        ApiError: GatedRepo, with what the user should do now.
    """
    if not repo.settings.gated or (user is not None and user.belongs_to(repo.id.namespace)):
        return
    restricted = f"Access to {repo.id.type} {repo.id} is restricted"
    if user is None:
        raise ApiError(
            401,
            f"{restricted}. You must have access to it and be authenticated to access it. Please log in.",
            code="GatedRepo",
        )
    request = AccessList(repo.path).of(user.name)
    if request is None:
        message = f"{restricted} and you are not in the authorized list. Visit {address} to ask for access."
    elif request.status == "pending":
        message = f"Your request to access {repo.id.type} {repo.id} is awaiting a review from the repo authors."
    elif request.status == "rejected":
        message = f"Your request to access {repo.id.type} {repo.id} has been rejected by the repo's authors."
    else:
        return
    raise ApiError(403, message, code="GatedRepo")
