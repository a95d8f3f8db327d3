"""How much memory this machine has to train in: its GPU's, else its own."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Memory:
    """Where a training would be.

    Attributes:
        device: `cuda` or `cpu`.
        total: Bytes.
        name: What to call it.
    """

    device: str
    total: int
    name: str


def machine_memory() -> Memory | None:
    """Returns the memory to train in; None where the operating system does not tell.

    torch is asked, which takes seconds to import, only where there is a GPU's driver.
    """
    if shutil.which("nvidia-smi"):
        import torch

        if torch.cuda.is_available():
            return Memory("cuda", int(torch.cuda.mem_get_info()[1]), torch.cuda.get_device_name())
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
    limit = _CGROUP.read_text().strip() if _CGROUP.is_file() else "max"
    return Memory("cpu", min(total, int(limit)) if limit.isdigit() else total, "this machine's memory")
