"""Who may do what: the users of the auth file, or the one user of a Hub without one, and access to gated repositories.

Requests for access lie next to the repository that they ask for, in `access.json`.
"""

import base64
import hmac
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hubtune.documents import read_yaml
from hubtune.errors import ConfigError
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.disk import write_durably
from hubtune.localhub.ids import RepoId
from hubtune.localhub.repos import HubRepo
from hubtune.validation import faults_of

_CORRECT = "Correct the file given with --auth. It is such as: users: [{name: ann, token: hf_annannann, role: write}]"

BASIC = 'Basic realm="Authentication required", charset="UTF-8"'
"""What tells git to ask for a user name and a password."""

BEARER = 'Bearer realm="Authentication required", charset="UTF-8"'
"""What tells every other client that a token is wanted; a browser asks its user for nothing."""

ANYWHERE = "demo"
"""The user that any token stands for on a Hub without an auth file; may write anywhere."""


ANYONE = "Demo User"
"""That user's full name."""

Status = Literal["pending", "accepted", "rejected"]
_FILE = "access.json"


class Org(BaseModel):
    """An organization that a user belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    fullname: str = ""


class User(BaseModel):
    """A user with the one token that signs them in.

    Attributes:
        name: Also the user's namespace.
        fullname: For people to read.
        token: The secret; None if any token will do.
        role: `write`, `read`, or `pr` for one who may propose changes only.
        orgs: Namespaces that the user shares.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1)
    fullname: str = ""
    token: str | None = Field(default=None, min_length=1, repr=False)
    role: Literal["write", "read", "pr"] = "write"
    orgs: tuple[Org, ...] = ()

    def belongs_to(self, namespace: str | None) -> bool:
        """Says whether a namespace is the user's own or one of their organisations'."""
        if self.token is None:
            return True
        own = {self.name.casefold(), *(org.name.casefold() for org in self.orgs)}
        return namespace is not None and namespace.casefold() in own

    def may_write(self, repo_id: RepoId) -> bool:
        """Says whether the user may change a repository of this name."""
        return self.role == "write" and self.belongs_to(repo_id.namespace)

    @property
    def may_propose(self) -> bool:
        """Whether the user may open pull requests and take part in discussions, wherever they may read."""
        return self.role != "read"


class _AuthFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    users: tuple[User, ...] = Field(min_length=1)


class Accounts:
    """The users of a Hub.

    Args:
        users: Those of the auth file; none stands for a Hub where any token will do.
    """

    def __init__(self, users: tuple[User, ...] = ()) -> None:
        self._users = users
        self.since = datetime.now(UTC)

    @classmethod
    def load(cls, path: Path | None) -> "Accounts":
        """Reads an auth file; no path stands for a Hub where any token will do.

        Raises:
            ConfigError: Naming every mistake in the file.
        """
        return cls() if path is None else cls(_read(path))

    @property
    def tokens(self) -> frozenset[str]:
        """The secrets of all users."""
        return frozenset(user.token for user in self._users if user.token)

    def sign_in(self, authorization: str | None) -> User | None:
        """Returns the user whom an Authorization header names; None for nobody.

        Git sends the token as the password of basic authentication, and the user name does not matter.

        Raises:
            ApiError: 401 for a token that no user has.
        """
        if not authorization:
            return None
        scheme, _, value = authorization.partition(" ")
        token = _password(value) if scheme.lower() == "basic" else value.strip()
        if scheme.lower() in {"bearer", "basic"} and token:
            if not self._users:
                return User(name=ANYWHERE, fullname=ANYONE)
            for user in self._users:
                if hmac.compare_digest((user.token or "").encode(), token.encode()):
                    return user
        # Git asks for a password only when it is told which kind is wanted.
        headers = {"WWW-Authenticate": BASIC} if scheme.lower() == "basic" else None
        raise ApiError(401, "Invalid credentials in Authorization header", headers=headers)

    def find(self, name: str) -> User | None:
        """Returns the user of this name, or None; on a Hub without an auth file every name is a user's."""
        if not self._users:
            return User(name=name) if name else None
        return next((user for user in self._users if user.name.casefold() == name.casefold()), None)

    def organization(self, name: str) -> tuple[Org, list[User]] | None:
        """Returns the organization of this name and its members, or None.

        On a Hub without an auth file every name is also that of an organization, of which its one user is the member.
        """
        if not self._users:
            return (Org(name=name), [User(name=ANYWHERE, fullname=ANYONE)]) if name else None
        wanted = name.casefold()
        found = [(org, user) for user in self._users for org in user.orgs if org.name.casefold() == wanted]
        if not found:
            return None
        # Each member may name it in another way: the name that says the most counts.
        named = max((org for org, _ in found), key=lambda org: len(org.fullname))
        return named, [user for _, user in found]


def may_read(user: User | None, repo: HubRepo) -> bool:
    """Says whether the user, or nobody in particular, may see a repository."""
    return not repo.settings.private or (user is not None and user.belongs_to(repo.id.namespace))


def _password(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _read(path: Path) -> tuple[User, ...]:
    data = read_yaml(path, error=ConfigError, hint=_CORRECT)
    try:
        users = _AuthFile.model_validate(data).users
    except ValidationError as error:
        found = [str(fault) for fault in faults_of(error)]
        raise ConfigError(f"The auth file {path} has mistakes.", details=found, hint=_CORRECT) from error
    mistakes = [f"users[{n}].token: this key is missing" for n, user in enumerate(users) if user.token is None]
    for field in ("name", "token"):
        values = [getattr(user, field) for user in users]
        mistakes += [
            f"users[{n}].{field}: an earlier user has the same" for n, v in enumerate(values) if v and v in values[:n]
        ]
    if mistakes:
        raise ConfigError(f"The auth file {path} has mistakes.", details=mistakes, hint=_CORRECT)
    return users


class AccessRequest(BaseModel):
    """What a user asked of a gated repository and what became of it.

    Attributes:
        id: Names the request if user names are not shown.
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
