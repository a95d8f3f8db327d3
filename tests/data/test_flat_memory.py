"""Memory does not grow with the number of rows: measured in a process of its own and those that it starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

BOUND = 1.2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_many_rows_take_hardly_more_memory_than_few(
    tmp_path: Path, trials: Callable[[int, int], int], peak_memory: Callable[..., dict[str, int]]
):
    def peak(rows: int) -> dict[str, int]:
        folder = tmp_path / str(rows)
        folder.mkdir()
        return peak_memory("tests.data.flat_memory", rows, 1, folder)

    few, many = peak(trials(4_000, 100_000)), peak(trials(12_000, 1_000_000))

    assert many["rows"] > 2.9 * few["rows"]
    assert many["anonymous"] <= BOUND * few["anonymous"], (few, many)
