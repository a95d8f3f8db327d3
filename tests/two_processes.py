"""Runs a function in two copies of this process, which find each other as the processes of a launcher do."""

import os
import pickle
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState

T = TypeVar("T")


def in_two_processes(work: Callable[[int], T], folder: Path) -> list[T]:
    """Returns what `work` gave in each, called with its rank.

    Args:
        work: Called in each copy, which has joined no group yet.
        folder: Where the copies leave their results.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    children = [_child(rank, port, work, folder) for rank in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    results = [(folder / f"{rank}.pickle").read_bytes() for rank in range(2)]
    assert codes == [0, 0], [result.decode() for result, code in zip(results, codes, strict=True) if code]
    return [pickle.loads(result) for result in results]


def join() -> None:
    """Joins the group of a copy, for work that does not join by itself."""
    PartialState(cpu=True)


def _child(rank: int, port: int, work: Callable[[int], object], folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
        # What this process did alone before is no part of a copy's own world.
        AcceleratorState._reset_state(reset_partial_state=True)
        (folder / f"{rank}.pickle").write_bytes(pickle.dumps(work(rank)))
        torch.distributed.barrier()
        code = 0
    except BaseException:  # noqa: BLE001 - the copy may not go on with the tests
        (folder / f"{rank}.pickle").write_bytes(traceback.format_exc().encode())
    finally:
        os._exit(code)
