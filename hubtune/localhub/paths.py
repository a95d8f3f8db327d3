"""Which file paths a commit may hold."""

from hubtune.localhub.errors import ApiError


def check_path(path: str) -> bytes:
    """Returns the path as git stores it.

    Raises:
        ApiError: If the path is empty, leaves the repository, touches git's own folder or holds control characters.
    """
    parts = path.split("/")
    if any(part in {"", ".", ".."} or part.casefold() == ".git" for part in parts):
        raise ApiError(400, f"Invalid path in the repository: {path!r}")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise ApiError(400, f"A path must not hold control characters: {path!r}")
    try:
        return path.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"A path must be valid Unicode: {path!r}") from error
