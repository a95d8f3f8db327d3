"""Which file paths a commit may hold."""

from dulwich.index import validate_path_element_hfs, validate_path_element_ntfs

from hubtune.localhub.errors import ApiError

_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_DEEPEST = 200


def check_path(path: str) -> bytes:
    """Returns the path as git stores it.

    Refused is what some system could not check out, or not safely: git itself guards its own folder under each of the
    names that NTFS and HFS+ have for it.

    Raises:
        ApiError: If the path is empty, too long, leaves the repository, touches git's own folder or holds control
            characters.
    """
    shown = repr(path[:_LONGEST_NAME])
    parts = path.split("/")
    # A client on Windows takes the backslash for a separator.
    if any(part in {"", "."} or ".." in part.split("\\") for part in parts):
        raise ApiError(400, f"Invalid path in the repository: {shown}")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise ApiError(400, f"A path must not hold control characters: {shown}")
    try:
        encoded = path.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"A path must be valid Unicode: {shown}") from error
    names = encoded.split(b"/")
    if not all(validate_path_element_ntfs(name) and validate_path_element_hfs(name) for name in names):
        raise ApiError(400, f"Git refuses this path: {shown}")
    if len(encoded) > _LONGEST_PATH or len(names) > _DEEPEST or any(len(name) > _LONGEST_NAME for name in names):
        raise ApiError(400, f"The path is too long: {shown}")
    return encoded
