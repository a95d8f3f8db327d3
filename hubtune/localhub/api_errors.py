"""The failures that a client of the embedded Hub gets to see, with the Hub's own codes and words.

Clients decide by `X-Error-Code` and by phrases in the message, so both are part of the protocol. The storage modules
raise these errors too; `api.hub_app` is the only place that turns one into an answer.
"""

from collections.abc import Mapping


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
    """Stands beside the status in the answer's first line, for clients that show nothing else of an answer."""

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
