"""Memory does not grow with the number of rows: measured in a process of its own and those that it starts."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BOUND = 1.2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_many_rows_take_hardly_more_memory_than_few(tmp_path: Path, trials: Callable[[int, int], int]):
    few, many = (_peak(tmp_path / str(rows), rows) for rows in (trials(4_000, 100_000), trials(12_000, 1_000_000)))

    assert many["rows"] > 2.9 * few["rows"]
    assert many["anonymous"] <= BOUND * few["anonymous"], (few, many)


def _peak(folder: Path, rows: int) -> dict[str, int]:
    (folder / "data").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.flat_memory", str(rows), "1", str(folder / "data")],
        env={**os.environ, "HF_HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
