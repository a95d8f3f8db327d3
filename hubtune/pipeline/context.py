"""Where the inputs of a run lie: the snapshots of what is pinned, and local files."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, MissingExtraError
from hubtune.hub.snapshot import cached
from hubtune.models.remote_code import CodeConsent, permit
from hubtune.records.data import DataRecord
from hubtune.records.pins import Pin, PinSet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.models.classifier import Classes


class FolderOf(Protocol):
    """Finds the snapshot of a pin; where its rows are streamed, the folder with its card."""

    def __call__(self, pin: Pin, /, *, streamed: bool) -> Path:
        """Returns the folder."""


def base_folder(config: TuneConfig, pins: PinSet) -> Path:
    """Returns the snapshot of a run's base, whose code may be run where the config allows that of its commit.

    Raises:
        RecordError: It is not in the cache any more.
        RemoteCodeError: It needs code that the config does not allow.
    """
    folder = cached(pins.base)
    permit(folder, pins.base.repo, pins.base.commit, CodeConsent(config.base.allow_remote_code))
    return folder


def data_places(config: TuneConfig, pins: PinSet, folder_of: FolderOf) -> list[Path]:
    """Returns the place of each data set: the folder of a snapshot, or a local file.

    They come in the config's order, those of the earlier task last.

    Args:
        config: The run's config.
        pins: Its pins.
        folder_of: Finds the snapshot of a pin.
    """
    pinned = iter([*pins.data, *pins.earlier])
    return [
        Path(entry.path) if entry.path is not None else folder_of(next(pinned), streamed=entry.streaming)
        for entry in config.all_data
    ]


def classes_of(data: DataRecord, tokenizer: "PreTrainedTokenizerBase") -> "Classes | None":
    """Returns what a run's model tells apart; None where it writes text."""
    from hubtune.models.classifier import Classes
    from hubtune.models.pretrained import pad_id

    return None if data.labels is None else Classes(tuple(data.labels), data.several_labels, pad_id(tokenizer))


def refuse_classifier(data: DataRecord, job: str) -> None:
    """Refuses a job that is for models that write text.

    Raises:
        ConfigError: The run's model is a classifier.
    """
    if data.labels is not None:
        raise ConfigError(
            f"A classifier's adapter cannot be {job}.",
            hint="Publish the adapter, or train complete weights: `train.method: full` or `freeze`.",
        )


_TRAIN = (
    *("torch", "transformers", "peft", "datasets", "accelerate"),
    *("datasketch", "phonenumbers"),
    *("rouge_score", "sacrebleu", "sklearn"),
)


def require_train(what: str) -> None:
    """Refuses where a package that `what` needs is missing.

    Raises:
        MissingExtraError: One is; the hint says how to install all of them.
    """
    missing = [name for name in _TRAIN if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{what} needs packages that are not installed: {', '.join(missing)}.",
            hint='Install them: pip install "hubtune[train]"',
        )
