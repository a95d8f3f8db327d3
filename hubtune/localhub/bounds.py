"""How long the texts may be that clients send, and how their JSON is read."""

from collections.abc import Mapping

from hubtune.documents import Bounds, UnreadableError, load_json
from hubtune.localhub.errors import ApiError

LONGEST_LINE = 1000
"""Characters of a text that is shown as one line: a commit's summary, a repository's description."""

LONGEST_TEXT = 65_536
"""Characters of a text that people write: a comment, the rest of a commit's message. Lists read all of them."""

LONGEST_CARD = 2 << 20
"""Bytes of a README.md; each list of repositories reads them."""

_DEEPEST = 50
_MOST_VALUES = 200_000


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
