"""A `Progress` that keeps what a stage said, for tests to look at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal


class Listener:
    """Keeps each line, each warning, and how far each long step came: label to [done, total].

    Args:
        on_note: Called with the note of each part of a long step that is done.
    """

    def __init__(self, on_note: Callable[[str], object] = str) -> None:
        self._on_note = on_note
        self.said: list[str] = []
        self.warned: list[str] = []
        self.steps: dict[str, list[int]] = {}

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)

    @contextmanager
    def task(self, label: str, total: int, *, unit: Literal["steps", "bytes"] = "steps") -> Iterator["_Step"]:
        self.steps[label] = [0, total]
        yield _Step(self.steps[label], self._on_note)


class _Step:
    def __init__(self, count: list[int], on_note: Callable[[str], object]) -> None:
        self._count = count
        self._on_note = on_note

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self._count[0] += steps
        self._on_note(note)
