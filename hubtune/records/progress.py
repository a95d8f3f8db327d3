"""How a stage tells what it is doing, without knowing whether a terminal, a log or nobody listens."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol


class Task(Protocol):
    """A long step that is under way."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Says that `steps` more are done; `note` is a short text such as a loss, shown beside the bar."""


class Progress(Protocol):
    """What a stage may say."""

    def say(self, message: str) -> None:
        """Tells the user one thing that happened."""

    def warn(self, message: str) -> None:
        """Tells the user one thing to look at; the run goes on."""

    def task(
        self, label: str, total: int, *, unit: Literal["steps", "bytes"] = "steps"
    ) -> AbstractContextManager[Task]:
        """Starts a long step of `total` parts, 0 where nobody knows how many; it ends when the context does."""


_listeners: list[Progress] = []


def tell_waits_to(progress: Progress) -> None:
    """Has `progress` say from now on that a request waits, of which the work that asks knows nothing."""
    _listeners[:] = [progress]


def tell_waiting(message: str) -> None:
    """Says that a request waits."""
    for progress in _listeners:
        progress.say(message)
