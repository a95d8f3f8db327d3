"""A check that fails says whether the release is at fault, or this machine, an account or the network."""

import pytest

from hubtune import errors
from hubtune.verify.release_documents import ContradictedError, UncheckedError, judged, listed


def _raising(error: BaseException):
    def check() -> str:
        raise error

    return check


class OutOfMemoryError(RuntimeError):
    """What torch calls a device's memory that is full."""


@pytest.mark.parametrize(
    "error",
    [
        UncheckedError("no"),
        errors.HubUnreachableError("no"),
        errors.GatedRepoError("no"),
        errors.MissingTokenError("no"),
        errors.HubError("no"),
        errors.MissingExtraError("no", hint="Install them."),
        errors.DiskFullError("no"),
        MemoryError("no"),
        OutOfMemoryError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_keeps_a_check_from_being_made_leaves_the_claim_unchecked(error: Exception):
    assert judged("card", _raising(error)).status == "unchecked"


@pytest.mark.parametrize(
    "error",
    [
        ContradictedError("no"),
        errors.RepoNotFoundError("no"),
        errors.RevisionNotFoundError("no"),
        errors.NoSafetensorsError("no"),
        errors.RecordError("no"),
        errors.CardError("no"),
        ValueError("no"),
        RecursionError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_release_brought_about_contradicts_the_claim(error: Exception):
    assert judged("card", _raising(error)).status == "contradicted"


def test_an_interruption_is_no_claim():
    with pytest.raises(KeyboardInterrupt):
        judged("card", _raising(KeyboardInterrupt()))


def test_a_claim_is_one_printable_line_whatever_the_error_says():
    claim = judged("card", _raising(ValueError("\x1b[2J" + "x" * 10_000 + "\nmore")))

    assert claim.detail.startswith("it cannot be read to its end (ValueError: \\u001b[2Jxxx")
    assert claim.detail.isprintable()
    assert len(claim.detail) < 1_100


def test_of_many_faults_the_first_are_named_and_the_others_counted():
    assert listed([f"fault {n}" for n in range(9)]) == "fault 0; fault 1; fault 2; fault 3; fault 4; and 4 more"
