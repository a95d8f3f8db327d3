"""Work that the processes of a launcher share out: each does some of the pieces, and all know every result.

The group is that of torch, which is one for the whole process.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Failed:
    """What a piece raised, and what to raise in the other processes."""

    error: Exception


def spread(pieces: Sequence[Callable[[], T]], on_done: Callable[[], None] = lambda: None) -> list[T]:
    """Does each piece in one of the processes; without several, all in this one.

    Args:
        pieces: The same ones in every process, such as one for each batch.
        on_done: Called for each piece, here or elsewhere.

    Returns:
        The results of all, in the order of the pieces.

    Raises:
        Exception: What a piece raised, in every process.
    """
    import torch

    group = torch.distributed.is_available() and torch.distributed.is_initialized()
    count, rank = (torch.distributed.get_world_size(), torch.distributed.get_rank()) if group else (1, 0)
    if count == 1:
        return [_done(piece(), on_done) for piece in pieces]
    found: list[T | _Failed] = []
    for start in range(0, len(pieces), count):
        if start + rank < len(pieces) and not any(isinstance(result, _Failed) for result in found):
            found.append(_attempt(pieces[start + rank]))
        for _ in pieces[start : start + count]:
            on_done()
    shares: list[list[T | _Failed]] = [[] for _ in range(count)]
    torch.distributed.all_gather_object(shares, found)
    for share in shares:
        for result in share:
            if isinstance(result, _Failed):
                raise result.error
    return [_result(shares[number % count][number // count]) for number in range(len(pieces))]


def _done(result: T, on_done: Callable[[], None]) -> T:
    on_done()
    return result


def _attempt(piece: Callable[[], T]) -> T | _Failed:
    try:
        return piece()
    except Exception as error:  # noqa: BLE001 - raised again in all processes, of which the others would wait
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - of this process itself
        except Exception:  # noqa: BLE001 - whatever an error's own class does
            return _Failed(RuntimeError(f"{type(error).__name__}: {error}"))
        return _Failed(error)


def _result(result: T | _Failed) -> T:
    assert not isinstance(result, _Failed), "these were raised"
    return result
