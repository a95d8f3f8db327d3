"""A handler that looks around in the process that it runs in."""

import os
import sys
from pathlib import Path


def handle(request: bytes, most: int) -> bytes:
    """Returns the names in the environment, heavy modules that are loaded, or what came of writing a file at a path."""
    if request == b"environment":
        return " ".join(name for name in os.environ if name not in ("LC_CTYPE", "__CF_USER_TEXT_ENCODING")).encode()
    if request == b"modules":
        return " ".join(name for name in ("torch", "transformers", "numpy", "pydantic") if name in sys.modules).encode()
    try:
        Path(os.fsdecode(request)).write_bytes(b"x")
    except OSError as error:
        return str(error.strerror).encode()
    return b"written"
