"""Serves a Hub that kills itself with SIGKILL just before the n-th change to its files: a program for the crash trials.

Python tells an audit hook of every file that is opened, renamed, made or removed, whoever does it, so the server is the
real one with nothing added to it, and each step of its writing, down to dulwich's, is a point where it can be killed.
Flushes to disk raise no such event; they are counted by a function put in the place of `os.fsync`.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

from hubtune.localhub import HubOptions, serve

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate"}

root, point = sys.argv[1], int(sys.argv[2])
changes = count(1)
ready = False


def one_more() -> None:
    if ready and next(changes) == point:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(event: str, args: tuple) -> None:
    if event in CHANGES or (event == "open" and args[2] & WRITES):
        path = args[0]
        if isinstance(path, str | bytes) and os.fsdecode(path).startswith(root):
            one_more()


def announce(url: str) -> None:
    global ready
    print(url, flush=True)
    ready = True


flush = os.fsync


def flush_and_count(descriptor: int) -> None:
    one_more()
    flush(descriptor)


os.fsync = flush_and_count
sys.addaudithook(watch)
serve(Path(root), HubOptions(), on_ready=announce)
