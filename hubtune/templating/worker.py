"""The other side of `hubtune.templating.process`: sets its own limits and answers one request after the other.

It ends with the process that started it: without requests it reads the end of its input, and a request that is being
worked on has a limit of its own, which needs nobody who watches it.
"""

import importlib
import os
import resource
import signal
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = struct.Struct(">Q")
"""Before each request and each answer: how many bytes follow."""
ANSWER, MEMORY, OUTPUT, PACE = b"A", b"M", b"O", b"P"
"""The first byte of an answer: an answer, or the limit that was exceeded."""
_CHUNK = 1 << 20


class TooLongError(Exception):
    """An answer is about to exceed the limit."""


class TooSlowError(Exception):
    """Most requests take longer than they may, though none exceeds what one may take."""


class _Input:
    """Reads requests from standard input, as many at a time as are there."""

    def __init__(self) -> None:
        self._received = bytearray()

    def next(self) -> bytes | None:
        """Returns the next request; None where there are no more."""
        while True:
            if len(self._received) >= HEADER.size:
                (size,) = HEADER.unpack_from(self._received)
                if len(self._received) >= HEADER.size + size:
                    request = bytes(self._received[HEADER.size : HEADER.size + size])
                    del self._received[: HEADER.size + size]
                    return request
            if not (some := os.read(0, _CHUNK)):
                return None
            self._received += some


def main(told: str) -> None:
    """Answers requests until there are no more.

    Args:
        told: The handler, seconds, bytes of memory and bytes of output, as `Limits` has them.
    """
    name, seconds, memory, output = told.split()
    # The process that started it is told of an interrupt, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A process inherits what its starter ignores or blocks, and the limit of time is a signal.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    module, _, function = name.partition(":")
    handle: Callable[[bytes, int], bytes] = getattr(importlib.import_module(module), function)
    _limit(resource.RLIMIT_AS, int(memory))
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    source, most = _Input(), int(output)
    while (request := source.next()) is not None:
        # The signal ends the process, also within a single long operation that no Python code could interrupt.
        signal.setitimer(signal.ITIMER_PROF, float(seconds))
        try:
            answer = handle(request, most)
        except MemoryError:
            _write(MEMORY)
            return
        except TooLongError:
            _write(OUTPUT)
            return
        except TooSlowError:
            _write(PACE)
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        del request
        _write(ANSWER + answer if len(answer) <= most else OUTPUT)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (least, least))


def _write(answer: bytes) -> None:
    waiting = memoryview(HEADER.pack(len(answer)) + answer)
    while waiting:
        waiting = waiting[os.write(1, waiting) :]
