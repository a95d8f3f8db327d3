"""Turns one check into one claim, whatever the check runs into."""

from collections.abc import Callable, Sequence

from hubtune.errors import (
    DiskFullError,
    HubError,
    HubtuneError,
    MemoryNeededError,
    MissingExtraError,
    RemoteCodeError,
    RepoNotFoundError,
    RevisionNotFoundError,
)
from hubtune.records.verification import Claim, Status

_MOST_FAULTS = 5
_GONE = (RepoNotFoundError, RevisionNotFoundError)
# These are about this machine, this account, what may be run, or the network, and say nothing about the release.
_OURS = (MissingExtraError, RemoteCodeError, DiskFullError, HubError, MemoryError, MemoryNeededError)


class ContradictedError(HubtuneError):
    """A claim is not so."""


class UncheckedError(HubtuneError):
    """Whether a claim is so cannot be found out."""


def judged(name: str, check: Callable[[], str]) -> Claim:
    """Runs a check and returns its claim.

    Args:
        name: The claim's name.
        check: Returns what was confirmed, or raises: `ContradictedError` and `UncheckedError` as they say; an error of
            the Hub other than "not there" leaves the claim unchecked; anything else contradicts it, as documents that
            break the programs which read them do.
    """
    try:
        return Claim(name=name, status="confirmed", detail=check())
    except Exception as error:  # noqa: BLE001 - a forged document may raise anything, and the other claims go on
        return Claim(name=name, status=_status(error), detail=_words(error))


def refuse(faults: Sequence[str]) -> None:
    """Raises a contradiction that names the faults, unless there are none.

    Raises:
        ContradictedError: There are some.
    """
    if faults:
        raise ContradictedError(listed(faults))


def listed(texts: Sequence[str]) -> str:
    """Returns the first few texts as one, and how many more there are."""
    more = [f"and {len(texts) - _MOST_FAULTS} more"] if len(texts) > _MOST_FAULTS else []
    return "; ".join([*texts[:_MOST_FAULTS], *more])


def _status(error: Exception) -> Status:
    if isinstance(error, UncheckedError):
        return "unchecked"
    # torch's own error has to be told by its name: torch may not be installed.
    ours = isinstance(error, _OURS) and not isinstance(error, _GONE)
    return "unchecked" if ours or type(error).__name__ == "OutOfMemoryError" else "contradicted"


def _words(error: Exception) -> str:
    if not isinstance(error, HubtuneError):
        line = (str(error).strip().splitlines() or [""])[0]
        return f"it cannot be read to its end ({type(error).__name__}: {line})"
    text = " ".join([error.message, listed(error.details)]).strip()
    told = error.hint and isinstance(error, (MissingExtraError, RemoteCodeError))
    return f"{text} {error.hint}" if told else text
