"""Encodes batches in several processes and gives the results in order; what waits at a time is bounded."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Literal

from hubtune.data.encoding import Batch, Encoded, RowEncoder
from hubtune.errors import DataError, advise

WORTHWHILE = 20_000
"""Rows from which it pays to start processes, which takes each of them some seconds."""
_MOST = 8

_own: RowEncoder | None = None


def worker_count(wanted: int | Literal["auto"], rows: int | None) -> int:
    """Returns in how many processes to encode rows; 1 stands for this one alone.

    Args:
        wanted: What the config says, of which no more than the cores that this process may use are taken; `auto` takes
            one for each of those, at most 8.
        rows: How many rows there are; None where nobody knows.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if wanted != "auto":
        return min(wanted, cores)
    if rows is not None and rows < WORTHWHILE:
        return 1
    return min(cores, _MOST)


def encode_all(encoder: RowEncoder, batches: Iterable[Batch], workers: int, rows_before: int = 0) -> Iterator[Encoded]:
    """Gives what becomes of each batch, in order, the same for any number of workers.

    Args:
        encoder: What encodes them.
        batches: What is to be encoded; few are taken before they are needed.
        workers: Processes; with 1, this one.
        rows_before: Rows that this process encodes before it starts others.

    Raises:
        DataError: A worker ended before its work was done.
    """
    batches, done = iter(batches), 0
    while workers == 1 or done < rows_before:
        alone = next(batches, None)
        if alone is None:
            return
        yield encoder.encode(alone)
        done += len(alone.lines)
    yield from _encode_in_pool(encoder, batches, workers)


def _encode_in_pool(encoder: RowEncoder, batches: Iterator[Batch], workers: int) -> Iterator[Encoded]:
    # Not forked: the threads of the tokenizer, of torch and of Arrow would not be there in the copy, and their locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(encoder,))
    waiting: deque[Future[Encoded]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(_encode, batch))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "A process that encodes rows ended before its work was done; the system may have ended it for lack of "
            "memory.",
            hint=advise(
                "-s",
                "Use fewer: -s rows.workers=1 needs the least memory.",
                "Use fewer: `rows.workers: 1` in the config needs the least memory.",
            ),
        ) from error
    finally:
        # On any way out, an interrupt too: what runs is not waited for.
        processes = list((pool._processes or {}).values()) if waiting else []
        pool.shutdown(wait=not waiting, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(encoder: RowEncoder) -> None:
    global _own
    # The first process is told of an interrupt, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own = encoder


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encode(batch: Batch) -> Encoded:
    assert _own is not None, "the pool began this process"
    return _own.encode(batch)
