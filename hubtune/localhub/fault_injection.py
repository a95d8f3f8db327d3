"""Fault injection: which requests the Hub answers badly, and how, so that clients can rehearse it.

A plan is a YAML file with one key, `faults`, a list of rules. A rule says which requests it means (`method`, and `path`
with `*` for any characters or `regex`, both matched against the whole raw path without its query), which of these it
strikes (`nth`, `first`, `every`, or `from` and `to`, counted from 1; without any of them all), and what happens. The
application asks `Faults` once for each request, and has `strike` and `distort` carry the fault out.
"""

import re
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Literal, Self

import anyio
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.types import Message, Send

from hubtune.documents import read_yaml
from hubtune.errors import ConfigError
from hubtune.localhub.api.connection import HubProtocol
from hubtune.localhub.api_errors import ApiError
from hubtune.validation import faults_of

_Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]
_CORRECT = "Correct the fault plan given with --faults."
_Count = Annotated[int, Field(ge=1, strict=True)]
_MESSAGES = {
    401: "Invalid credentials in Authorization header",
    403: "Forbidden",
    404: "Repository not found",
    409: "Conflict",
    412: "The branch was updated since you opened this page. Please refresh and try again.",
    429: "Too many requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_OTHER_BYTES = bytes(byte ^ 0x55 for byte in range(256))
# How often a trickling body is sent from; each time as many bytes as are due.
_TICK = 0.1


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class InjectedFault(BaseModel):
    """What happens to a request: one of `status`, `drop`, `body` and `trickle`, or a `delay` alone.

    Attributes:
        status: Answer with this status.
        code: The answer's `X-Error-Code`; RepoNotFound if the status is 404 and none is given.
        message: The answer's text.
        retry_after: Seconds that the answer asks the client to wait; for 429 and 503.
        retry_after_as: How it says so: as a number, or as the date at which they are over.
        drop: Close the connection without an answer.
        body: Send the first `half` of the true answer's body and close the connection, or `wrong` bytes of its length.
        trickle: Send the true answer's body at so many bytes a second.
        delay: Wait so many seconds first; goes with each of the others.
        when: Whether `status`, `drop` and `delay` strike `before` the request's work is done, in which case it never
            is, or `after`, which leaves the client in doubt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    status: Literal[401, 403, 404, 409, 412, 429, 500, 503] | None = None
    code: str | None = Field(default=None, pattern=r"^[A-Za-z]{1,40}$")
    message: str | None = Field(default=None, min_length=1, max_length=500)
    retry_after: int | None = Field(default=None, ge=0, le=86400)
    retry_after_as: Literal["seconds", "date"] = "seconds"
    drop: bool = False
    body: Literal["half", "wrong"] | None = None
    trickle: int | None = Field(default=None, ge=1)
    delay: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    when: Literal["before", "after"] = "before"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        mistakes = list(self._mistakes())
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @property
    def label(self) -> str:
        """How the request log names the fault, such as `status 503 after` or `body half`."""
        parts = [f"delay {self.delay:g}"] if self.delay else []
        if self.status:
            parts.append(f"status {self.status}")
        if self.drop:
            parts.append("drop")
        if self.body:
            parts.append(f"body {self.body}")
        if self.trickle:
            parts.append(f"trickle {self.trickle}")
        return " ".join([*parts, *(["after"] if self.when == "after" else [])])

    def error(self, status: int) -> ApiError:
        """Returns the answer with the fault's `status`."""
        headers = {}
        if self.retry_after is not None:
            until = datetime.now(UTC) + timedelta(seconds=self.retry_after)
            as_date = self.retry_after_as == "date"
            headers["Retry-After"] = format_datetime(until, usegmt=True) if as_date else str(self.retry_after)
        code = self.code or ("RepoNotFound" if status == 404 else None)
        return ApiError(status, self.message or _MESSAGES[status], code=code, headers=headers)

    def _mistakes(self) -> list[str]:
        kinds = [name for name in ("status", "drop", "body", "trickle") if getattr(self, name)]
        found = []
        if len(kinds) > 1:
            found.append(f"only one of {', '.join(kinds)} can happen")
        if not kinds and not self.delay:
            found.append("nothing happens; give status, drop, body, trickle or delay")
        if self.status is None and (self.code or self.message):
            found.append("code and message go with a status")
        if self.retry_after is not None and self.status not in (429, 503):
            found.append("retry_after goes with status 429 or 503")
        if self.retry_after is None and "retry_after_as" in self.model_fields_set:
            found.append("retry_after_as goes with retry_after")
        if self.when == "after" and (self.body or self.trickle):
            found.append("when: after goes with status, drop and delay; a body is always sent after the work")
        return found


class FaultRule(InjectedFault):
    """A fault, and the requests that it strikes.

    Attributes:
        method: The HTTP methods meant; any if empty.
        path: The raw path meant, `*` standing for any characters; any path if this and `regex` are None.
        regex: The same as a regular expression.
        nth: Strike just this one of the requests meant, counted from 1.
        first: Strike so many at the beginning.
        every: Strike each so-many-th.
        start: Strike from this one on; `from` in a file.
        stop: Strike up to this one, which is included; `to` in a file.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    method: Annotated[tuple[_Method, ...], BeforeValidator(_as_list)] = ()
    path: str | None = Field(default=None, pattern=r"^[/*]")
    regex: str | None = None
    nth: _Count | None = None
    first: _Count | None = None
    every: _Count | None = None
    start: _Count | None = Field(default=None, alias="from")
    stop: _Count | None = Field(default=None, alias="to")

    def means(self, method: str, path: str) -> bool:
        """Says whether a request is one of those that the rule counts."""
        if self.method and method not in self.method:
            return False
        if self.regex is not None:
            return re.fullmatch(self.regex, path) is not None
        return self.path is None or _fits(self.path, path)

    def strikes(self, count: int) -> bool:
        """Says whether the rule strikes the request that is the `count`-th of those it means."""
        if self.nth is not None:
            return count == self.nth
        if self.first is not None:
            return count <= self.first
        if self.every is not None:
            return count % self.every == 0
        return (self.start or 1) <= count and (self.stop is None or count <= self.stop)

    def _mistakes(self) -> list[str]:
        found = super()._mistakes()
        if self.path is not None and self.regex is not None:
            found.append("path and regex exclude each other")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                found.append(f"regex is not a regular expression: {error}")
        bounds = self.start if self.start is not None else self.stop
        if sum(count is not None for count in (self.nth, self.first, self.every, bounds)) > 1:
            found.append("only one of nth, first, every and from/to can be given")
        if self.start is not None and self.stop is not None and self.stop < self.start:
            found.append("to is before from")
        return found


class FaultPlan(BaseModel):
    """A fault plan's file.

    Attributes:
        faults: The rules; if several strike the same request, the first does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    faults: tuple[FaultRule, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a fault plan.

        Raises:
            ConfigError: Naming every mistake in the file.
        """
        data = read_yaml(path, error=ConfigError, hint=_CORRECT)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"The fault plan {path} has mistakes.", details=_details(error), hint=_CORRECT) from error


class Faults:
    """The faults of a running Hub, with a count for each rule. Several threads may use it.

    Args:
        plan: What to begin with.
    """

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self._lock = threading.Lock()
        self._rules = list(plan.faults) if plan else []
        self._counts = [0] * len(self._rules)

    def add(self, rule: FaultRule) -> None:
        """Adds a rule, which counts the requests from now on."""
        with self._lock:
            self._rules.append(rule)
            self._counts.append(0)

    def clear(self) -> None:
        """Removes every rule."""
        with self._lock:
            self._rules.clear()
            self._counts.clear()

    def meet(self, method: str, path: str) -> InjectedFault | None:
        """Counts a request and returns what is to happen to it, if anything.

        Args:
            method: The request's method.
            path: The raw path without the query.
        """
        struck: InjectedFault | None = None
        with self._lock:
            for index, rule in enumerate(self._rules):
                if rule.means(method, path):
                    self._counts[index] += 1
                    if struck is None and rule.strikes(self._counts[index]):
                        struck = rule
        return struck


def _fits(pattern: str, path: str) -> bool:
    # Piece by piece, each as early as it is found: a regular expression would try all ways to divide a long path.
    first, *pieces = pattern.split("*")
    if not pieces:
        return path == pattern
    at = len(first)
    for piece in pieces[:-1]:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return path.startswith(first) and path.endswith(pieces[-1]) and len(path) - len(pieces[-1]) >= at


def _details(error: ValidationError) -> list[str]:
    return [str(fault) if fault.path else f"the file: {fault}" for fault in faults_of(error)]


class DroppedError(Exception):
    """The request gets no answer."""


async def strike(fault: InjectedFault) -> None:
    """Does what happens instead of the work, or instead of its answer.

    Raises:
        ApiError: The answer to give.
        DroppedError: There is to be none.
    """
    if fault.delay:
        await anyio.sleep(fault.delay)
    if fault.drop:
        raise DroppedError
    if fault.status:
        raise fault.error(fault.status)


def distort(fault: InjectedFault, send: Send, connection: HubProtocol) -> Send:
    """Returns a `send` that spoils the body of an answer, as the fault has it."""
    if fault.body == "half":
        return _Half(send, connection)
    if fault.body == "wrong":
        return _wrong(send)
    if fault.trickle:
        return _trickle(send, fault.trickle)
    return send


class _Half:
    def __init__(self, send: Send, connection: HubProtocol) -> None:
        self._send = send
        self._connection = connection
        self._left: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            length = dict(message["headers"]).get(b"content-length")
            self._left = int(length) // 2 if length is not None else None
            await self._send(message)
            return
        body = message.get("body", b"")
        if self._left is None:
            # No length was announced: half of the first piece is short enough.
            self._left = len(body) // 2
        if self._left > 0:
            await self._send({"type": "http.response.body", "body": body[: self._left], "more_body": True})
        self._left -= len(body)
        if self._left <= 0:
            self._connection.cut()


def _wrong(send: Send) -> Send:
    async def send_wrong(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": bytes(message.get("body", b"")).translate(_OTHER_BYTES)}
        await send(message)

    return send_wrong


def _trickle(send: Send, rate: int) -> Send:
    async def send_slowly(message: Message) -> None:
        body = message.get("body", b"")
        step = max(1, int(rate * _TICK))
        while len(body) > step:
            await send({"type": "http.response.body", "body": body[:step], "more_body": True})
            await anyio.sleep(step / rate)
            body = body[step:]
        await send({**message, "body": body} if "body" in message else message)

    return send_slowly
