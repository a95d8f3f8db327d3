"""Every error that hubtune raises on purpose: one base class, one exit code each.

A message says what went wrong and why; the hint says what to do next. `cli` is the only place that prints them; an
exception that is not a `HubtuneError` is a bug and keeps its traceback.
"""

from collections.abc import Callable, Sequence


def _knows_no_command(_option: str) -> bool:
    return True


_has_option: Callable[[str], bool] = _knows_no_command


def advise(option: str, text: str, otherwise: str) -> str:
    """Returns what to do next, for a hint that would name an option.

    Args:
        option: The option, such as `--resume`.
        text: What to do by it.
        otherwise: What to do if the running command has no such option.
    """
    return text if _has_option(option) else otherwise


def advise_by(has_option: Callable[[str], bool]) -> None:
    """Has `advise` ask from now on which options the running command has."""
    global _has_option
    _has_option = has_option


class HubtuneError(Exception):
    """Base of all expected failures.

    Args:
        message: What went wrong and why, in words for someone who has never seen the code.
        hint: What to do next, usually a command.
        details: Further lines, one per finding, if there are several.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)


class ConfigError(HubtuneError):
    """The config, an override or an argument cannot be used as written."""

    exit_code = 2


class MissingExtraError(HubtuneError):
    """A command needs packages that an extra of hubtune installs."""

    exit_code = 3


class FileError(HubtuneError):
    """A file or folder cannot be read or written."""

    exit_code = 7


class DiskFullError(FileError):
    """There is not enough room on a disk."""

    exit_code = 4


class DocumentError(HubtuneError):
    """A YAML or JSON text that somebody else wrote is not such a text, or is beyond the bounds."""

    exit_code = 8


class OutputError(HubtuneError):
    """The result of a command cannot be printed."""

    exit_code = 9


class RecordError(HubtuneError):
    """A run directory lacks a record, or its records do not belong together."""

    exit_code = 5


class CheckError(HubtuneError):
    """One or more checks before a run failed; the details name each."""

    exit_code = 6


class HubError(HubtuneError):
    """The Hub answered with an error that no subclass describes.

    Args:
        message: As for every error.
        hint: As for every error.
        details: As for every error.
        passing: Whether the same request may succeed a little later: the Hub was busy, failed, or gave no answer.
        retry_after: Seconds that the Hub asked to wait before that; None if it did not say.
    """

    exit_code = 10

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: Sequence[str] = (),
        passing: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.passing = passing
        self.retry_after = retry_after


class HubUnreachableError(HubError):
    """No Hub answers at the endpoint."""

    exit_code = 11


class MissingTokenError(HubError):
    """The Hub wants a token and there is none."""

    exit_code = 12


class InvalidTokenError(HubError):
    """The Hub does not accept the token."""

    exit_code = 13


class PermissionDeniedError(HubError):
    """The token is valid, but does not have the permission."""

    exit_code = 14


class RepoNotFoundError(HubError):
    """A repository does not exist, or is private to others."""

    exit_code = 15


class RevisionNotFoundError(HubError):
    """A repository has no such branch, tag or commit."""

    exit_code = 16


class GatedRepoError(HubError):
    """A repository requires its users to accept conditions first."""

    exit_code = 17


class LockError(HubtuneError):
    """`hubtune.lock` is missing or does not match the config, and only the lock may be used."""

    exit_code = 18


class AmbiguousRevisionError(HubError):
    """A name has two meanings in a repository, so users may get another commit than the intended one."""

    exit_code = 19


class DataError(HubtuneError):
    """A dataset cannot be read or used."""

    exit_code = 20


class SplitNotFoundError(DataError):
    """A dataset has no such split."""

    exit_code = 21


class EmptySplitError(DataError):
    """A split has no usable rows."""

    exit_code = 22


class ColumnNotFoundError(DataError):
    """A template names a field that is not a column of the dataset."""

    exit_code = 23


class TooManyDroppedError(DataError):
    """More rows of a dataset are unusable than the config allows."""

    exit_code = 24


class ScreeningError(DataError):
    """Rows contain secrets or personal data, or repeat other rows, and the config says to stop."""

    exit_code = 25


class ModelError(HubtuneError):
    """A base model cannot be used."""

    exit_code = 30


class RemoteCodeError(ModelError):
    """A model needs Python code from its repository that is not allowed, or that fails."""

    exit_code = 37


class NoSafetensorsError(ModelError):
    """A base model has no weights in the safetensors format."""

    exit_code = 31


class TrainingError(HubtuneError):
    """Training did not produce a usable model."""

    exit_code = 32


class MemoryNeededError(TrainingError):
    """This machine has too little memory for the training."""

    exit_code = 36


class LaunchError(TrainingError):
    """A launcher did not start the processes of a training, or one of them was killed."""

    exit_code = 38


class InterruptedTrainingError(TrainingError):
    """A training was stopped, and can continue from a checkpoint.

    Args:
        message: As for every error.
        hint: As for every error.
        exit_code: 128 and the number of the signal; that of Ctrl-C unless given.
    """

    exit_code = 130

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 130) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class MergeError(ModelError):
    """An adapter cannot be merged into its base model, or the merged model differs from the two together."""

    exit_code = 33


class ReleaseError(HubtuneError):
    """A published release cannot be used as it is: it lacks a part, or does not state what it needs."""

    exit_code = 34


class CardError(HubtuneError):
    """The model card is incomplete or not valid."""

    exit_code = 40


class LicenseRefusedError(HubtuneError):
    """The licenses of the inputs do not allow the release, or a license text that must be included is not available."""

    exit_code = 41


class CardFindingsError(CardError):
    """Linting a card found errors."""

    exit_code = 42


class EditedCardError(CardError):
    """The card of a run was edited by hand, and would be overwritten."""

    exit_code = 43


class TagExistsError(HubError):
    """The tag is taken by another commit; a tag is never moved."""

    exit_code = 50


class PublishConflictError(HubError):
    """Somebody else changed the repository during publishing."""

    exit_code = 51


class ReadBackError(HubError):
    """The files on the Hub after publishing differ from those that were sent."""

    exit_code = 52


class SecretFoundError(HubtuneError):
    """A file that was about to be published holds a token, a key or a password."""

    exit_code = 53


class ArtifactKindError(HubError):
    """The repository already contains the other kind of artifact: an adapter, or complete weights."""

    exit_code = 54


class CanariesError(HubtuneError):
    """A run was trained on planted secrets, so its model must not be published."""

    exit_code = 55


class HubDamagedError(HubtuneError):
    """Files of an embedded Hub are damaged or missing."""

    exit_code = 60


class RemoteJobError(HubtuneError):
    """A run on another machine did not end with a run that can be downloaded."""

    exit_code = 62


class VerificationError(HubtuneError):
    """A published release contradicts its own claims."""

    exit_code = 61


class SweepError(HubtuneError):
    """The storage of a sweep cannot be used, or holds another sweep."""

    exit_code = 70
