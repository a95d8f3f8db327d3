"""What every test relies on: the Hub's clients see no real Hub, no cache of the user's and no Xet storage."""

import os
import tempfile

# Before anything imports huggingface_hub, which reads its environment once.
_HOME = tempfile.mkdtemp(prefix="hubtune-tests-")
os.environ.update(
    {
        "HF_HOME": _HOME,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
)
for _name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
    os.environ.pop(_name, None)
