"""Turns exceptions of `huggingface_hub` into hubtune's errors, with a next step and without tokens in the text."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2
from huggingface_hub import constants
from huggingface_hub import errors as client

from hubtune import errors
from hubtune.hub.client import PASSING, NotAHubError, current_token, require_usable

_TOKEN = re.compile(r"hf_[A-Za-z0-9]{4,}|(?i:bearer)\s+\S+")
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_PUBLIC = "https://huggingface.co"
_NOT_A_HUB = "Check HF_ENDPOINT, and open the address in a browser: the network may ask you to log in to it first."


@contextmanager
def hub_errors(repo: str = "", revision: str = "") -> Iterator[None]:
    """Turns errors of the Hub's client within the context into a `HubError` about `repo` and `revision`.

    Raises:
        ConfigError: HF_ENDPOINT is not the address of a Hub.
        HubtuneError: The token cannot be one, or the Hub's answer was an error.
    """
    require_usable()
    try:
        yield
    except (
        client.HfHubHTTPError,
        client.LocalTokenNotFoundError,
        client.LocalEntryNotFoundError,
        client.OfflineModeIsEnabled,
        httpx2.HTTPError,
    ) as error:
        raise explain(error, repo, revision) from error
    except client.HFValidationError as error:
        raise errors.RepoNotFoundError(
            f"{repo!r} is not a name that a repository can have.", hint="A repository is called namespace/name."
        ) from error
    except (RuntimeError, ValueError) as error:
        # As the client wraps what went wrong with the upload of a large file, or a download past its cache.
        if not isinstance(error.__cause__, client.HfHubHTTPError | httpx2.HTTPError):
            raise
        raise explain(error.__cause__, repo, revision) from error


@contextmanager
def hub_answer(repo: str = "", revision: str = "") -> Iterator[None]:
    """As `hub_errors`, for a single request: an answer without the form of a Hub's answer is an error too.

    Raises:
        HubError: As `hub_errors`, or the answer lacks what a Hub says, or has it in another form.
    """
    with hub_errors(repo, revision):
        try:
            yield
        except (
            client.HfHubHTTPError,
            client.HFValidationError,
            client.OfflineModeIsEnabled,
            client.LocalTokenNotFoundError,
        ):
            raise
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise errors.HubError(
                f"What {constants.ENDPOINT} says{f' of {repo}' if repo else ''} is not a Hub's answer: a part of it is "
                "missing, or has another form.",
                hint=_NOT_A_HUB,
            ) from error


def explain(error: Exception, repo: str = "", revision: str = "") -> errors.HubError:
    """Returns the hubtune error for an error of the Hub client."""
    if isinstance(error, client.LocalTokenNotFoundError):
        return errors.MissingTokenError("The Hub asks for a token, and there is no token here.", hint=_login())
    if isinstance(error, client.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        # The client wraps the failed request in "not in the cache"; the request is what the user has to know of.
        return explain(error.__cause__, repo, revision)
    if isinstance(error, client.HfHubHTTPError):
        return _explain_answer(error, repo, revision)
    if isinstance(error, client.OfflineModeIsEnabled | client.LocalEntryNotFoundError):
        return errors.HubUnreachableError(
            f"{repo or 'The repository'} is not in the local cache, and the Hub may not be asked (HF_HUB_OFFLINE).",
            hint="Unset HF_HUB_OFFLINE, or run once with access to the Hub.",
        )
    if isinstance(error, NotAHubError):
        return errors.HubError(f"What answers is not a Hub: {mask(str(error))}.", hint=_NOT_A_HUB)
    if isinstance(error, httpx2.DecodingError):
        return errors.HubError(
            f"What {constants.ENDPOINT} answered{f' about {repo}' if repo else ''} was damaged on its way: "
            f"{mask(str(error))}",
            hint="Try again; if it happens again, something between this machine and the Hub changes the files.",
            passing=True,
        )
    return errors.HubUnreachableError(
        f"No Hub answers at {constants.ENDPOINT}: {_ERRNO.sub('', mask(str(error))) or 'the connection failed'}.",
        hint=errors.advise(
            "--hub",
            "Check the network and HF_ENDPOINT; --hub FOLDER works on an embedded Hub instead.",
            "Check the network and HF_ENDPOINT.",
        ),
        passing=True,
    )


def mask(text: str) -> str:
    """Returns `text` with every token of any form masked."""
    token = None
    with contextlib.suppress(errors.HubtuneError):
        token = current_token()
    if token:
        text = text.replace(token, "[token]")
    return _TOKEN.sub("[token]", text)


def _explain_answer(error: client.HfHubHTTPError, repo: str, revision: str) -> errors.HubError:
    status, request = error.response.status_code, error.response.request
    reads = request.method in ("GET", "HEAD") or "/paths-info/" in request.url.path
    repo = repo or request.url.path
    said = mask(error.server_message or str(error).splitlines()[0])
    if "Invalid credentials" in said or "Invalid user token" in str(error):
        return errors.InvalidTokenError(f"The Hub at {constants.ENDPOINT} does not accept the token.", hint=_login())
    if isinstance(error, client.GatedRepoError):
        if current_token() is None:
            return errors.GatedRepoError(f"{repo} is gated, and there is no token.", hint=_login())
        return errors.GatedRepoError(
            f"{repo} is gated, and your account has not been granted access.",
            hint=f"Accept its conditions at {_page(request.url.path, repo)}, then run the command again.",
        )
    if isinstance(error, client.RevisionNotFoundError):
        return errors.RevisionNotFoundError(
            f"{repo} has no revision {revision!r}.",
            hint=f"See which branches and tags it has: {_page(request.url.path, repo)}/tree/main",
        )
    if isinstance(error, client.RepositoryNotFoundError):
        unknown = "" if current_token() else " (there is no token; if it is private, log in with `hf auth login`)"
        return errors.RepoNotFoundError(
            f"There is no repository {repo} at {constants.ENDPOINT}, or it is private to others{unknown}.",
            hint="Check the id, and whether it is a dataset or a model."
            + (" A file on this machine is named as `data[].path`." if _is_local(repo) else ""),
        )
    if status == 401:
        return errors.MissingTokenError(f"The Hub asks for a token: {said}", hint=_login())
    if status == 403 and reads:
        return errors.PermissionDeniedError(
            f"The token may not read {repo}: {said}",
            hint="Ask its owner for access, or use a token that may read it: a fine-grained one lists repositories.",
        )
    if status == 403:
        return errors.PermissionDeniedError(
            f"The token may not write to {repo}: {said}",
            hint="Use a token with the role `write`, of an account that may write there.",
        )
    if status == 404:
        return errors.HubError(
            f"The Hub has nothing at {request.url.path}{f' of {repo}' if repo != request.url.path else ''}: {said}",
            hint="Check the name of the file or branch. If they are right, this Hub does not know such requests.",
        )
    retry_after = _retry_after(error.response.headers)
    if status == 429:
        return errors.HubError(
            f"The Hub asks to wait (too many requests): {said}",
            hint="Wait a while, then try again.",
            passing=True,
            retry_after=retry_after,
        )
    return errors.HubError(
        f"The Hub answered with {status} about {repo}: {said}",
        hint="Try again later; if it happens again, the Hub itself has a fault.",
        passing=status in PASSING,
        retry_after=retry_after,
    )


def _login() -> str:
    source = (
        f"from {_PUBLIC}/settings/tokens" if constants.ENDPOINT == _PUBLIC else f"of the Hub at {constants.ENDPOINT}"
    )
    return f"Log in with `hf auth login`, or set HF_TOKEN to a token {source}"


def _page(path: str, repo: str) -> str:
    """Returns the address of a repository's page, by the path of a request about it."""
    kind = "datasets/" if path.startswith(("/api/datasets/", "/datasets/")) else ""
    return f"{constants.ENDPOINT}/{kind}{repo}"


def _is_local(repo: str) -> bool:
    """Whether a repository's id looks like a file or folder of this machine."""
    return Path(repo).exists() or repo.lower().endswith(
        (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".txt")
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or the date at which they are over."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        # By the Hub's own clock if it gives the time: this machine's may be wrong.
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None
