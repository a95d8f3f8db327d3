"""Prepares generated rows in a process of its own, and prints the most memory that it and its workers took.

Usage: python -m tests.data.flat_memory ROWS WORKERS FOLDER, with HF_HOME set. Prints one JSON object: `anonymous`, the
peak of the memory that is the processes' own, in bytes; `resident`, that of all memory, to which each page of a mapped
file counts that the operating system happens to keep; `seconds` of processor time; `rows` used; and `packed` sequences.

Anonymous memory is what the bound is about: pages of the Arrow files are given back whenever anything else needs the
room, so that the resident size of a process that reads a large file grows with the free memory of the machine.
"""

import json
import os
import random
import sys
import threading
from pathlib import Path

WORDS = [
    f"{start}{end}" for start in ("ba", "ko", "li", "mu", "ne", "ro", "sa", "ti") for end in ("n", "r", "st", "ld")
]
_BATCH = 64
# No token of the rows.
PADDING = 1_000_000


class Peak:
    """Looks every few hundredths of a second how much memory this process and those that it started take together."""

    def __init__(self) -> None:
        self.anonymous = self.resident = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.03):
            sizes = [_sizes(process) for process in _tree(os.getpid())]
            self.anonymous = max(self.anonymous, sum(size[0] for size in sizes))
            self.resident = max(self.resident, sum(size[1] for size in sizes))


def _tree(process: int) -> list[int]:
    try:
        started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(other for child in started for other in _tree(int(child)))]


def _sizes(process: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("RssAnon", "VmRSS"))}
    return 1024 * int(values.get("RssAnon", 0)), 1024 * int(values.get("VmRSS", 0))


def _write(path: Path, rows: int) -> None:
    drawn = random.Random(1)
    with path.open("w") as file:
        for number in range(rows):
            file.write(json.dumps({"text": f"{' '.join(drawn.choices(WORDS, k=5))} {number}"}) + "\n")


def main(rows: int, workers: int, folder: Path) -> None:
    from hubtune.data.prepare import DataJob, prepare
    from hubtune.train.batching import Batcher
    from tests.listener import Listener
    from tests.sample_runs import sample_config, sample_pins
    from tests.tiny_tokenizers import KINDS

    tokenizer = KINDS["gpt2"]()
    _write(folder / "train.jsonl", rows)
    config = sample_config(
        f"rows.workers={workers}", "data[0].text=text", "data[0].template=null", "screen.near_duplicates=drop"
    )
    peak = Peak()
    prepared = prepare(DataJob(config, sample_pins(), [folder], tokenizer, Listener()))
    record = prepared.record({})
    (source,) = record.sources
    assert source.rows == rows == source.kept + sum(source.dropped.values())
    batcher = Batcher(pad_id=PADDING, packed=True, length=256)
    tokens = packed = 0
    for start in range(0, len(prepared.train), _BATCH):
        some = prepared.train[start : start + _BATCH]
        ids = batcher(some)["input_ids"]
        tokens += int((ids != PADDING).sum())
        packed += len(ids)
    assert tokens == record.train.tokens
    peak.stop()
    found = {"anonymous": peak.anonymous, "resident": peak.resident, "rows": source.kept, "packed": packed}
    print(json.dumps({**found, "seconds": sum(os.times()[:4])}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
