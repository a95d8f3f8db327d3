"""Retries a step at the Hub, with waits between the attempts. The caller decides whether a step may be repeated."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hubtune.errors import HubError
from hubtune.records.base import Progress

T = TypeVar("T")
Wait = Callable[[float], None]


@dataclass(frozen=True)
class Retries:
    """Retries a step if the Hub was busy, failed or gave no answer.

    Attributes:
        progress: Shows why one waits.
        wait: Waits so many seconds.
        attempts: How often a step is tried at most.
        longest: The most seconds that one wait takes. A Hub that asks for more ends the release, which can go on later.
    """

    progress: Progress
    wait: Wait = time.sleep
    attempts: int = 5
    longest: float = 60.0

    def __call__(self, doing: str, work: Callable[[], T], *, also: tuple[type[HubError], ...] = ()) -> T:
        """Does `work`, which may be repeated without harm, until it succeeds.

        Args:
            doing: What it does, such as "Reading the tags".
            work: Does it.
            also: Errors after which it is tried again although they do not pass as a rule.

        Raises:
            HubError: The last attempt's, or the first that another attempt cannot change.
        """
        attempt = 1
        while True:
            try:
                return work()
            except HubError as error:
                if not error.passing and not isinstance(error, also):
                    raise
                self.pause(doing, error, attempt)
                attempt += 1

    def pause(self, doing: str, error: HubError, attempt: int) -> None:
        """Waits after a failed attempt: as long as the Hub asked, or else 1 second, doubled each time.

        Raises:
            HubError: The error itself, if that was the last attempt, or the Hub asks for too long a wait.
        """
        if attempt >= self.attempts:
            raise error
        seconds = float(2 ** (attempt - 1)) if error.retry_after is None else error.retry_after
        if seconds > self.longest:
            error.hint = f"The Hub asks to come back in {seconds:,.0f} seconds. Then run the same command again."
            raise error
        self.progress.say(
            f"{doing}: {error.message} Waiting {seconds:g} s before attempt {attempt + 1} of {self.attempts}."
        )
        self.wait(seconds)
