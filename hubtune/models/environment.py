"""What a stage that uses torch ran on, for its record."""

import platform
from importlib import metadata

from hubtune.records.training import EnvironmentRecord

# Those whose versions decide the numbers.
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "huggingface-hub")


def environment() -> EnvironmentRecord:
    """Returns the versions and the device of this process."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    return EnvironmentRecord(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=device,
        packages={name: metadata.version(name) for name in _PACKAGES},
    )
