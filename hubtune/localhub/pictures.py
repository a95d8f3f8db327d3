"""Which files are pictures that a page may show, and under which conditions a browser gets a stranger's file."""

from pathlib import PurePosixPath

_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}

UNTRUSTED = {
    "X-Content-Type-Options": "nosniff",
    # An SVG that is opened by itself is a document, and might bring scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
"""Headers of every file that a stranger may have written: a browser neither guesses its type nor runs what is in it."""


def picture_type(path: str) -> str | None:
    """Returns the media type of a picture by its name, or None for any other file."""
    return _TYPES.get(PurePosixPath(path).suffix.lower())
