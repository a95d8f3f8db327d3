"""Streams the rows of a dataset from a Hub in a process of its own, and prints the most memory that it took.

Usage: python -m tests.data.streamed_memory HUB COMMIT, with HF_HOME set. Prints one JSON object: `anonymous`, the peak
of the memory that is the process's own, in bytes; `rows` read; and `characters` of their texts.
"""

import json
import os
import sys

from tests.data.flat_memory import Peak

REPO = "org/many"


def main(hub: str, commit: str) -> None:
    os.environ["HF_ENDPOINT"] = hub
    from hubtune.data.data_files import resolve_files
    from hubtune.data.dataset_repo import hub_contents
    from hubtune.data.streams import stream_rows
    from hubtune.records.base import Pin

    pin = Pin(repo=REPO, type="dataset", requested="main", commit=commit)
    rows = characters = 0
    peak = Peak()
    for batch in stream_rows(pin, resolve_files(hub_contents(pin, REPO), None), "train").batches(["text"]):
        rows += len(batch)
        characters += sum(len(row["text"]) for row in batch)
    peak.stop()
    print(json.dumps({"anonymous": peak.anonymous, "rows": rows, "characters": characters}))


if __name__ == "__main__":
    main(*sys.argv[1:])
