"""Runs a piece of work on an embedded Hub: started before the Hub's clients are imported, stopped after.

`huggingface_hub` reads its environment once, when it is imported, so nothing that imports it may be imported before
`embedded_hub` is entered. That is why this module stands alone.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubtune.localhub.server import EmbeddedHub
from hubtune.pages.renderer import Renderer


@contextmanager
def embedded_hub(folder: Path) -> Iterator[EmbeddedHub]:
    """Serves the embedded Hub in `folder` on a free port and points the clients of this process to it.

    Raises:
        HubError: `folder` is served by another process.
    """
    if "huggingface_hub" in sys.modules:
        raise RuntimeError("huggingface_hub was imported before the embedded Hub's address was known")
    # Whoever has a token for another Hub does not have it sent to this one, which takes any.
    settings = {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "embedded", "HF_HUB_OFFLINE": "0"}
    before = {name: os.environ.get(name) for name in (*settings, "HF_ENDPOINT")}
    with EmbeddedHub(folder, pages=Renderer()) as hub:
        os.environ.update(settings, HF_ENDPOINT=hub.url)
        try:
            yield hub
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
