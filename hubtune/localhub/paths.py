"""Which file paths a commit may hold: those that every system can check out, each as itself."""

import re
import unicodedata

from dulwich.index import validate_path_element_hfs, validate_path_element_ntfs

from hubtune.localhub.errors import ApiError

_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_DEEPEST = 200
# On Windows they are devices, whatever follows a dot; the raised digits count as digits there.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9¹²³]) *(?:[.:].*)?", re.IGNORECASE | re.DOTALL
)
_DRIVE = re.compile(r"[A-Za-z]:")
# They turn the direction of what follows, so that a name reads as another.
_TURNING = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_path(path: str) -> bytes:
    """Returns the path as git stores it.

    Refused is what some system could not check out, or not safely: git itself guards its own folder under each of the
    names that NTFS and HFS+ have for it.

    Raises:
        ApiError: If the path is empty, too long, leaves the repository, touches git's own folder, means something else
            on Windows or holds control characters.
    """
    shown = repr(path[:_LONGEST_NAME])
    parts = path.split("/")
    # A client on Windows takes the backslash for a separator.
    if any(part in {"", "."} or ".." in part.split("\\") for part in parts):
        raise ApiError(400, f"Invalid path in the repository: {shown}")
    if any(unicodedata.category(character) == "Cc" or character in _TURNING for character in path):
        raise ApiError(400, f"A path must not hold control characters: {shown}")
    encoded = encode_path(path)
    names = encoded.split(b"/")
    if not all(validate_path_element_ntfs(name) and validate_path_element_hfs(name) for name in names):
        raise ApiError(400, f"Git refuses this path: {shown}")
    if "\\" in path:
        raise ApiError(400, f"A path must not hold a backslash, which separates folders on Windows: {shown}")
    if any(_DRIVE.match(part) for part in parts):
        raise ApiError(400, f"A name must not begin as a drive does on Windows: {shown}")
    if any(_DEVICE.fullmatch(part) for part in parts):
        raise ApiError(400, f"A name must not be that of a device on Windows: {shown}")
    if any(part.endswith((" ", ".")) for part in parts):
        raise ApiError(400, f"A name must not end with a space or a dot, which Windows takes away: {shown}")
    if len(encoded) > _LONGEST_PATH or len(names) > _DEEPEST or any(len(name) > _LONGEST_NAME for name in names):
        raise ApiError(400, f"The path is too long: {shown}")
    return encoded


def encode_path(path: str) -> bytes:
    """Returns a path as git stores it, whatever it is: for what a repository holds already.

    Raises:
        ApiError: If it is not valid Unicode.
    """
    try:
        return path.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"A path must be valid Unicode: {path[:_LONGEST_NAME]!r}") from error


def same_name(name: bytes) -> str:
    """Returns the same text for all names that are one name on some system, by case or by how letters are composed."""
    text = unicodedata.normalize("NFC", name.decode(errors="replace")).casefold()
    return unicodedata.normalize("NFC", text).rstrip(". ")
