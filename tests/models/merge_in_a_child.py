"""A program that merges and tells how much memory that took: base, adapter, out -> bytes above torch alone, as JSON."""

import json
import re
import sys
from pathlib import Path

from hubtune.models.architecture import read_structure
from tests.models.merge_cases import merge


def memory(kind: str) -> int:
    """Returns VmRSS (now) or VmHWM (the most so far); getrusage's peak is the parent's, where that is more."""
    return int(re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def main() -> None:
    base, adapter, out = map(Path, sys.argv[1:])
    # Imports what merging imports.
    read_structure(base)
    # From here on the most is counted anew.
    Path("/proc/self/clear_refs").write_text("5")
    floor = memory("VmRSS")
    done = merge(base, adapter, out)
    print(json.dumps({"above": memory("VmHWM") - floor, "shards": done.shards}))


if __name__ == "__main__":
    main()
