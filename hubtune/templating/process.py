"""A worker process with limits on time, memory and output: it is ended if it exceeds one.

Requests are sent in batches, and each answer returns separately. This is fast, and it shows which request the process
was working on when it ended.
"""

import atexit
import contextlib
import importlib
import math
import os
import resource
import selectors
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable


HEADER = struct.Struct(">Q")
"""Before each request and each answer: how many bytes follow."""
ANSWER, MEMORY, OUTPUT, PACE = b"A", b"M", b"O", b"P"
"""The first byte of an answer: an answer, or the limit that was exceeded."""
_READ_CHUNK = 1 << 20


class TooLongError(Exception):
    """An answer is about to exceed the limit."""


class TooSlowError(Exception):
    """Most requests take longer than they may, though none exceeds what one may take."""


class _Input:
    """Reads requests from standard input, as many at a time as are there."""

    def __init__(self) -> None:
        self._received = bytearray()

    def next(self) -> bytes | None:
        """Returns the next request; None if there are no more."""
        while True:
            if len(self._received) >= HEADER.size:
                (size,) = HEADER.unpack_from(self._received)
                if len(self._received) >= HEADER.size + size:
                    request = bytes(self._received[HEADER.size : HEADER.size + size])
                    del self._received[: HEADER.size + size]
                    return request
            if not (some := os.read(0, _READ_CHUNK)):
                return None
            self._received += some


def main(told: str) -> None:
    """Answers requests until there are no more.

    Args:
        told: The handler, seconds, bytes of memory and bytes of output, as `ProcessLimits` has them.
    """
    name, seconds, memory, output = told.split()
    # The process that started it gets an interrupt, and ends it.
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


_CHUNK = 1 << 20
# Only the standard library's path is known with -I, so that no module next to the config is imported by chance.
_START = """
import sys
sys.path[:] = sys.argv[2:]
from hubtune.templating.process import main
main(sys.argv[1])
"""
Kind = Literal["time", "memory", "output", "pace"]


@dataclass(frozen=True)
class ProcessLimits:
    """What one request may use.

    Attributes:
        seconds: Processor time. It is the same on a machine that has much else to do.
        memory: Bytes of the whole process.
        output: Bytes of the answer.
        pace: Processor time that most of several requests may use for each text that they ask for, if the handler
            counts it. One request may be large; a million of the same are as many times `seconds`.
    """

    seconds: float
    memory: int
    output: int
    pace: float = math.inf

    @property
    def patience(self) -> float:
        """Seconds without an answer after which the process is given up, whatever it waits for."""
        return 6 * self.seconds


class LimitError(Exception):
    """A request exceeded a limit. Whoever made it says what that means.

    Args:
        place: Which of the requests, from 0.
        kind: The limit.
        limits: All of them.
    """

    def __init__(self, place: int, kind: Kind, limits: ProcessLimits) -> None:
        super().__init__(place, kind, limits)
        self.place = place
        self.kind = kind
        self.limits = limits

    @property
    def words(self) -> str:
        """What the work took, to follow the name of what did it."""
        return {
            "time": f"takes more than {self.limits.seconds:g} s of processor time",
            "memory": f"takes more than {self.limits.memory // 2**20:,} MiB of memory",
            "output": f"writes more than {self.limits.output // 1024:,} KiB of text",
            "pace": f"takes more than {self.limits.pace:g} s of processor time again and again",
        }[self.kind]


class BoundedProcess:
    """Starts the process when there is a request, and again after it ended.

    Args:
        handler: The function that answers, as `module:function`; it takes and returns bytes.
        limits: What it may use for one request.
    """

    def __init__(self, handler: str, limits: ProcessLimits) -> None:
        self.limits = limits
        self.starts = 0
        """How often it was started: whoever told the process something tells it again after another start."""
        self._handler = handler
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.RLock()
        atexit.register(self.close)

    def __enter__(self) -> "BoundedProcess":
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def ready(self) -> None:
        """Starts the process unless it runs."""
        if self._process is not None and self._owner != os.getpid():
            # A fork got a copy of its pipes; two processes would read each other's answers.
            self._process = None
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._start()

    def ask(self, requests: Sequence[bytes]) -> list[bytes]:
        """Returns the answer to each request.

        Raises:
            LimitError: One exceeded a limit; those after it were not answered.
        """
        with self:
            self.ready()
            try:
                return self._exchange(b"".join(HEADER.pack(len(each)) + each for each in requests), len(requests))
            except BaseException:
                # Also after an interrupt: answers that nobody waits for any longer would be taken for others.
                self.close()
                raise

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()

    def _start(self) -> None:
        self.starts += 1
        self._owner = os.getpid()
        told = f"{self._handler} {self.limits.seconds} {self.limits.memory} {self.limits.output}"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, told, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # No token of the user's is within its reach; the time of day is that of the user's zone.
            env={name: os.environ[name] for name in ("TZ",) if name in os.environ},
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)

    def _exchange(self, sent: bytes, wanted: int) -> list[bytes]:
        """Writes and reads at once: with one after the other, both sides could wait for each other."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        source, sink = self._process.stdout.fileno(), self._process.stdin.fileno()
        answers: list[bytes] = []
        received, waiting = bytearray(), memoryview(sent)
        quiet = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            selector.register(sink, selectors.EVENT_WRITE)
            while len(answers) < wanted:
                # Seconds are counted one by one, so that a process that was stopped for an hour, as by Ctrl-Z, has
                # waited for one alone.
                events = selector.select(min(1.0, self.limits.patience))
                if not events:
                    quiet += 1
                    if quiet >= self.limits.patience:
                        raise LimitError(len(answers), "time", self.limits)
                    continue
                quiet = 0.0
                ready = {key.fd for key, _ in events}
                if source in ready:
                    some = os.read(source, _CHUNK)
                    if not some:
                        raise self._ended(len(answers))
                    received += some
                    self._take(received, answers)
                if sink in ready:
                    with contextlib.suppress(BrokenPipeError, BlockingIOError):
                        waiting = waiting[os.write(sink, waiting[:_CHUNK]) :]
                        ready.discard(sink)
                    if not waiting or sink in ready:
                        # What it could not take is not missed: it has ended, as reading from it tells.
                        selector.unregister(sink)
        return answers

    def _take(self, received: bytearray, answers: list[bytes]) -> None:
        """Moves whole answers out of what was received."""
        start = 0
        while len(received) - start >= HEADER.size:
            (size,) = HEADER.unpack_from(received, start)
            kind = received[start + HEADER.size : start + HEADER.size + 1]
            if size > self.limits.output + 1 or kind == OUTPUT:
                raise LimitError(len(answers), "output", self.limits)
            if kind == PACE:
                raise LimitError(len(answers), "pace", self.limits)
            if kind and kind != ANSWER:
                raise LimitError(len(answers), "memory", self.limits)
            if len(received) - start - HEADER.size < size:
                break
            answers.append(bytes(received[start + HEADER.size + 1 : start + HEADER.size + size]))
            start += HEADER.size + size
        del received[:start]

    def _ended(self, place: int) -> LimitError:
        assert self._process is not None
        code = self._process.wait()
        return LimitError(place, "time" if code in (-signal.SIGPROF, -signal.SIGXCPU) else "memory", self.limits)
