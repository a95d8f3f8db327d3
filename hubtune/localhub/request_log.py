"""The log of requests, `requests.jsonl`: what each client asked for, in the order in which it was answered.

Tests and auditors read from it which revisions were used, so a line is complete before the client has its answer.
It holds no headers and no bodies, hence no tokens.
"""

import json
import os
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from hubtune.localhub.disk import DISK_FULL


@dataclass
class RequestNote:
    """What is to be logged of one request; filled in as it becomes known.

    Attributes:
        method: The HTTP method.
        path: The raw path with its query, as the client sent it.
        repo: The repository's id as asked for, or None.
        type: `model`, `dataset`, `space`, or None.
        revision: The revision as asked for, decoded, or None.
        fault: The fault that struck the request; the line has this key only where one did.
    """

    method: str
    path: str
    repo: str | None = None
    type: str | None = None
    revision: str | None = None
    fault: str | None = None


class RequestLog:
    """Appends one JSON object a line.

    Args:
        path: The file; made when missing, for its owner's eyes alone: it tells who asked for which private repository.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(self._file, 0o600)

    def write(self, note: RequestNote, status: int) -> None:
        """Writes the line of an answered request, in one piece; on a full disk the line is lost, not the answer."""
        line = {"time": datetime.now(UTC).isoformat(), **asdict(note), "status": status}
        fault = line.pop("fault")
        if fault is not None:
            line["fault"] = fault
        with self._lock:
            try:
                os.write(self._file, json.dumps(line).encode() + b"\n")
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)
