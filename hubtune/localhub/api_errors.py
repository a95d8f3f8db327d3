"""What a client of the embedded Hub may send, and the failures that it gets, with the Hub's own codes and words.

Clients decide by `X-Error-Code` and by phrases in the message, so both are part of the protocol. The storage modules
raise these errors too; `api.hub_app` alone turns one into an answer. Texts, JSON and paths have bounds: a path has to
be one that git, and a checkout on any system, can hold.
"""

import re
import unicodedata
from collections.abc import Mapping

from dulwich.index import validate_path_element_hfs, validate_path_element_ntfs

from hubtune.documents import Bounds, UnreadableError, load_json


class ApiError(Exception):
    """A request that cannot be fulfilled.

    Args:
        status: The HTTP status of the answer.
        message: What the client prints.
        code: The value of `X-Error-Code`, from which clients choose their exception class.
        fields: Further fields of the JSON body.
        headers: Further headers of the answer.
    """

    reason: str | None = None
    """Follows the status in the answer's first line, for clients that show nothing else of an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        fields: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})


class StaleParentError(ApiError):
    """The branch has moved on since the writer looked at it."""

    def __init__(self) -> None:
        super().__init__(412, "The branch was updated since you opened this page. Please refresh and try again.")


class NoXetError(ApiError):
    """A client wants to send or fetch through Xet storage."""

    reason = "This Hub has no Xet storage: set HF_HUB_DISABLE_XET=1 and run the command again"

    def __init__(self) -> None:
        super().__init__(404, self.reason, code="XetNotAvailable")


def forbidden() -> ApiError:
    """Returns the answer for a user who may read a repository but not do what they ask."""
    return ApiError(403, "You have read access but not the required permissions for this operation")


def repo_not_found(*, anonymous: bool) -> ApiError:
    """Returns the answer for a repository that does not exist or must not be seen.

    Both cases read alike, so that nobody learns which private repositories there are.
    """
    if anonymous:
        return ApiError(401, "Invalid username or password.", code="RepoNotFound")
    return ApiError(404, "Repository not found", code="RepoNotFound")


def revision_not_found(revision: str) -> ApiError:
    """Returns the answer for a branch, tag or commit that the repository lacks."""
    return ApiError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(message: str, *, commit: str | None = None) -> ApiError:
    """Returns the answer for a path that the commit lacks.

    Args:
        message: Which path is missing.
        commit: The commit that was searched; clients remember the absence for exactly that commit.
    """
    headers = {"X-Repo-Commit": commit} if commit else {}
    return ApiError(404, message, code="EntryNotFound", headers=headers)


LONGEST_LINE = 1000
"""Characters of a text that is shown as one line: a commit's summary, a repository's description."""

LONGEST_TEXT = 65_536
"""Characters of a text that people write: a comment, the rest of a commit's message. Lists read all of them."""

LONGEST_CARD = 2 << 20
"""Bytes of a README.md; each list of repositories reads them."""

_DEEPEST = 50
_MOST_VALUES = 200_000
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_MOST_FOLDERS = 200
# On Windows they are devices, whatever follows a dot; the raised digits count as digits there.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9¹²³]) *(?:[.:].*)?", re.IGNORECASE | re.DOTALL
)
_DRIVE = re.compile(r"[A-Za-z]:")
# They turn the direction of what follows, so that a name reads as another.
_TURNING = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def read_object(content: bytes, name: str) -> Mapping[str, object]:
    """Returns a JSON object that a client sent.

    Args:
        content: The JSON.
        name: What to call it in a message, such as "The body".

    Raises:
        ApiError: 400 if it is something else, or deeper or of more values than any request needs.
    """
    try:
        value = load_json(content, bounds=Bounds(size=len(content), depth=_DEEPEST, values=_MOST_VALUES))
    except UnreadableError as error:
        raise ApiError(400, f"{name} {error.problem}.") from error
    if not isinstance(value, dict):
        raise ApiError(400, f"{name} is not a JSON object.")
    return value


def check_length(text: str, field: str, most: int = LONGEST_TEXT) -> str:
    """Returns a text that is not too long.

    Raises:
        ApiError: 400 if it is.
    """
    if len(text) > most:
        raise ApiError(400, f'"{field}" length must be at most {most} characters')
    return text


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
    if len(encoded) > _LONGEST_PATH or len(names) > _MOST_FOLDERS or any(len(name) > _LONGEST_NAME for name in names):
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
