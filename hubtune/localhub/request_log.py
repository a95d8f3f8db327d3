"""The log of requests, `requests.jsonl`: what each client asked for, in the order in which it was answered.

Tests and auditors read from it which revisions were used, so a line is complete before the client has its answer.
It holds no headers and no bodies, and secrets in URLs are masked, so a reader of the log cannot use them.
"""

import json
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from hubtune.localhub.disk import DISK_FULL

MASK = "***"
_SECRET_NAME = re.compile(r"signature|token|secret|passw|api.?key|credential|authorization", re.IGNORECASE)
# As the public Hub makes them.
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}|\bBearer\b", re.IGNORECASE)
_SEPARATORS = re.compile(r"[/&=?\s]")
# How often an address may be encoded over and over; what is encoded more often is masked whatever it holds.
_ENCODED = 8
# A shorter token may be a part of an ordinary word.
_LONG = 12


@dataclass
class RequestNote:
    """What is to be logged of one request; filled in as it becomes known.

    Attributes:
        method: The HTTP method.
        path: The raw path with its query, as the client sent it; the log masks secrets in it.
        repo: The repository's id as asked for, or None.
        type: `model`, `dataset`, `space`, or None.
        revision: The revision as asked for, decoded, or None.
        fault: The fault that struck the request; the line has this key only if one did.
    """

    method: str
    path: str
    repo: str | None = None
    type: str | None = None
    revision: str | None = None
    fault: str | None = None


class RequestLog:
    """Appends one JSON object per line.

    Args:
        path: The file; made when missing, for its owner's eyes alone: it tells who asked for which private repository.
        tokens: The secrets of this Hub's users.
    """

    def __init__(self, path: Path, tokens: Iterable[str] = ()) -> None:
        self._tokens = frozenset(tokens)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(self._file, 0o600)

    def write(self, note: RequestNote, status: int) -> None:
        """Writes the line of an answered request, in one piece; on a full disk the line is lost, not the answer."""
        line = {"time": datetime.now(UTC).isoformat(), **asdict(note), "status": status}
        line["path"] = self._masked_path(note.path)
        line["repo"], line["revision"] = self._masked(note.repo), self._masked(note.revision)
        fault = line.pop("fault")
        if fault is not None:
            line["fault"] = fault
        with self._lock:
            try:
                os.write(self._file, json.dumps(line).encode() + b"\n")
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise

    def _masked_path(self, path: str) -> str:
        raw, mark, query = path.partition("?")
        # Nothing but the secrets is written in another way than the client sent it.
        segments = [MASK if self._is_secret(part) else part for part in raw.split("/")]
        fields = [self._masked_field(part) for part in query.split("&")]
        return "/".join(segments) + mark + "&".join(fields)

    def _masked_field(self, part: str) -> str:
        name, equals, value = part.partition("=")
        is_secret = any(map(_SECRET_NAME.search, _readings(name) or ())) or self._is_secret(value or name)
        if not is_secret:
            return part
        return f"{name}{equals}{MASK}" if equals else MASK

    def _masked(self, text: str | None) -> str | None:
        return text if text is None else "/".join(MASK if self._is_secret(part) else part for part in text.split("/"))

    def _is_secret(self, text: str) -> bool:
        readings = _readings(text)
        return readings is None or any(map(self._holds_secret, readings))

    def _holds_secret(self, text: str) -> bool:
        return (
            not self._tokens.isdisjoint(_SEPARATORS.split(text))
            or _TOKEN.search(text) is not None
            or any(token in text for token in self._tokens if len(token) >= _LONG)
        )

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def _readings(text: str) -> list[str] | None:
    """Returns a text and what it means when it is decoded, again and again; None if there is no end to that."""
    readings = [text]
    for _ in range(_ENCODED):
        decoded = unquote(readings[-1])
        if decoded == readings[-1]:
            return [*readings, *(reading.replace("+", " ") for reading in readings)]
        readings.append(decoded)
    return None
