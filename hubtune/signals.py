"""How a process is stopped from outside: Ctrl-C, SIGTERM or a closed terminal, each as an exception.

It is imported before anything that takes time, so that a stop ends the process in the same way at any moment.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What forwards signals, such as make or a container's init, often sends the terminal's own Ctrl-C a second time.
_SAME = 1.0
# Long enough to leave the function in which an exception is lost.
_AGAIN = 0.05

_received: int | None = None
_when = 0.0


class Stopped(KeyboardInterrupt):
    """The process was asked to stop; running work cleans up and ends.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(number: int) -> int:
    """Returns the exit code of a process that a signal stopped, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def received() -> int | None:
    """Returns the signal that stopped this process, or None; threads ask for it, and end their work."""
    return _received


def install() -> None:
    """Turns the first signal into `Stopped`; a later one ends the process at once. Signals ignored so far stay so."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _raise_again


def end_at_once(code: int) -> None:
    """Makes any further signal end the process with `code`: its work is done, and the interpreter is shutting down."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(code))


@contextlib.contextmanager
def noticed(act: Callable[[int], object]) -> Iterator[None]:
    """Makes the first signal call `act` instead of raising, within the context; a second one stops as usual.

    Outside the main thread, which alone gets signals, it does nothing.

    Args:
        act: Called with the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        # As nohup asks.
        del before[signal.SIGHUP]
    first: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            act(number)
        elif now - first[0] > _SAME:
            _restore(before)
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            else:
                signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        _restore(before)


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """Lets a process that was stopped send requests while the context lasts, to save what it did."""
    global _received
    number, _received = _received, None
    try:
        yield
    finally:
        _received = _received or number


def _restore(handlers: dict[signal.Signals, "signal._HANDLER"]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    global _received, _when
    now = time.monotonic()
    if _received is None:
        _received, _when = number, now
        raise Stopped(number)
    if now - _when > _SAME:
        os._exit(exit_code(_received))


def _raise_again(lost: "sys.UnraisableHookArgs") -> None:
    """Repeats a stop that came while Python drops exceptions, such as while an object is freed."""
    global _received
    if isinstance(lost.exc_value, Stopped):
        number, _received = lost.exc_value.number, None
        threading.Timer(_AGAIN, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(lost)
