"""Where the links and pictures of a Markdown file lead, seen from the page that shows it."""

import re
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_OUTSIDE = re.compile(r"(?:https?://[^/\\\s]|mailto:[^\s])", re.IGNORECASE)
# What browsers leave out of an address before they read it.
_IGNORED = re.compile(r"[\x00-\x1f\x7f]")


class Links(Protocol):
    """Says where an address in a Markdown file leads."""

    def link(self, address: str) -> str | None:
        """Returns the address for a link, or None where it must lead nowhere."""

    def picture(self, address: str) -> str | None:
        """Returns the address for a picture, or None where it must not be loaded."""


@dataclass(frozen=True)
class RepoLinks:
    """Links of a file in a repository.

    Attributes:
        repo: The path of the repository's page.
        revision: The revision that the page shows.
        folder: The folder of the file; empty for the root.
    """

    repo: str
    revision: str
    folder: str = ""

    @classmethod
    def of_file(cls, repo: str, revision: str, path: str) -> "RepoLinks":
        """Returns the links of the file at `path`."""
        return cls(repo, revision, dirname(path))

    def link(self, address: str) -> str | None:
        """Returns outside addresses as they are, and those in the repository as the file's page."""
        address = _IGNORED.sub("", address).strip()
        if is_outside(address):
            return address
        if address.startswith("#"):
            return "#" + _fragment(address[1:])
        if address.startswith("/") and not address.startswith(("//", "/\\")):
            # From the root of the Hub, such as /datasets/org/name.
            return quote(address, safe="/?#&=%@:+,;!*~().-_")
        inside = inside_path(address, self.folder)
        if inside is None:
            return None
        fragment = _fragment(address.partition("#")[2])
        return f"{self.address('blob', inside)}{'#' + fragment if fragment else ''}"

    def picture(self, address: str) -> str | None:
        """Returns the download address of a file in the repository, and None for everything else."""
        inside = inside_path(_IGNORED.sub("", address).strip(), self.folder)
        return self.address("resolve", inside) if inside else None

    def address(self, kind: str, path: str) -> str:
        """Returns the address of one view of a file."""
        return f"{self.repo}/{kind}/{quote(self.revision, safe='')}/{quote(path)}"


def is_outside(address: str) -> bool:
    """Says whether it is an address on the web, or a mail address, that may be linked to."""
    return _OUTSIDE.match(address) is not None


def inside_path(address: str, folder: str) -> str | None:
    """Returns the path in the repository that a relative address means, or None where it means something else."""
    if not address or _SCHEME.match(address) or address.startswith(("/", "\\", "#", "?")):
        return None
    try:
        path = unquote(urlsplit(address).path)
    except ValueError:
        return None
    path = normpath(join(folder, path))
    return None if path in {".", ".."} or path.startswith(("../", "/")) or "\x00" in path else path


def _fragment(text: str) -> str:
    return quote(unquote(text), safe="-_.~:")
