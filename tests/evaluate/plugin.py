"""A package with metrics of its own, installed into a folder as pip leaves it."""

import sys
from pathlib import Path

import pytest

SOURCE = '''
"""Metrics of a package that is not hubtune's."""

from hubtune.evaluate.intervals import mean_of
from hubtune.evaluate.measuring import measure_of
from hubtune.records.results import Measure


class Brevity:
    """The mean length of the rows in characters, and of what each side writes after them."""

    name = "brevity"

    def measure(self, bench):
        lengths = [len(row.text) for row in bench.held_out]
        return [measure_of("brevity", {side: mean_of(lengths) for side in bench.sides}, len(lengths), bench.seed)]


class Broken:
    name = "broken"

    def measure(self, bench):
        raise RuntimeError("no /home/ann/weights.bin for hf_" + "a" * 34 + " of ann@example.org\\nand more")


class Odd:
    name = "odd"

    def measure(self, bench):
        values = {"base": None, "tuned": float("nan"), "interval": None}
        return [Measure(name="odd", split="held-out", n=1, status="measured", **values)]


class Copy(Brevity):
    name = "copy"


class NoMetric:
    name = "no_metric"


brevity = Brevity()
'''
ENTRY_POINTS = """[hubtune.metrics]
brevity = bench_plugin:brevity
broken = bench_plugin:Broken
copy = bench_plugin:Copy
lost = bench_plugin.lost:Lost
no_metric = bench_plugin:NoMetric
odd = bench_plugin:Odd
perplexity = bench_plugin:Broken
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the package is installed in."""
    folder = tmp_path / "site"
    about = folder / "bench_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "bench_plugin.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "bench_plugin", raising=False)
    return folder
