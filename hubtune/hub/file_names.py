"""Names of files in a repository that would lead elsewhere, or into one another, on some machine that reads them."""

import re
import unicodedata
from collections.abc import Iterable

from hubtune.errors import HubError

_DRIVE = re.compile(r"[A-Za-z]:")
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\..*)?", re.IGNORECASE
)


def require_safe_names(repo: str, paths: Iterable[str]) -> None:
    """Refuses a repository of which a file's name is not one and the same file, inside its folder, on every machine.

    Args:
        repo: The repository, for the message.
        paths: The paths of its files.

    Raises:
        HubError: A name is absolute, leads out of the folder, is reserved, or is another's in other letters.
    """
    seen: dict[str, str] = {}
    for path in paths:
        fault = _fault(path)
        other = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if fault is None and other != path:
            fault = f"it is the same as {other!r} on machines that ignore case"
        if fault is not None:
            raise HubError(
                f"{repo} holds a file called {path!r}, and is not read: {fault}.",
                hint="Ask the repository's owner to rename the file, or choose another repository or revision.",
            )


def _fault(path: str) -> str | None:
    parts = path.split("/")
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in path):
        return "the name holds control characters"
    if "\\" in path:
        return "a backslash separates folders on some machines"
    if path.startswith("/") or _DRIVE.match(path):
        return "the name is absolute"
    if {"", ".", ".."}.intersection(parts):
        return "the name leads out of its folder" if ".." in parts else "a part of the name is empty"
    if any(_RESERVED.fullmatch(part) for part in parts):
        return "the name is reserved for a device on some machines"
    return None
