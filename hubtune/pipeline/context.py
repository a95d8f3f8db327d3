"""The context of a run: everything that its stages read, opened once, and the job that each stage gets.

Only this layer knows the stages and their order, so the context is here. A job is a frozen value in the layer of its
stage. It holds everything that the stage needs, so a stage does not depend on the others.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, MissingExtraError
from hubtune.hub.snapshot import cached
from hubtune.models.remote_code import CodeConsent, permit
from hubtune.records.base import Pin, PinSet, Progress
from hubtune.records.data import DataRecord
from hubtune.records.remote import JobRecord
from hubtune.records.results import HeldOutPoint, TrainingRecord
from hubtune.records.rundir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hubtune.data.prepare import DataJob, Prepared
    from hubtune.evaluate.evaluation import EvaluationJob
    from hubtune.models.classifier import Classes
    from hubtune.models.pretrained import PinnedBase
    from hubtune.pipeline.launch import Launcher
    from hubtune.train.processes import Processes
    from hubtune.train.setup import TrainJob


@dataclass(frozen=True)
class RunOptions:
    """How a run is done, beside its config.

    Attributes:
        publish: Whether the run ends with a release.
        propose: Whether that is a pull request.
        resume: Whether to resume the newest run of the same config, or the one in `run_dir`.
        locked: Whether `hubtune.lock` has to match the config.
        run_dir: The run directory; None for a new one below `runs_folder`.
        runs_folder: Where runs are kept.
        launcher: Starts the processes of the training; None to train in this one.
        elsewhere: Whether another machine does it, so that memory and disk of this one do not matter.
        job: The job of Hugging Face Jobs that does it, if one does.
    """

    publish: bool = False
    propose: bool = False
    resume: bool = False
    locked: bool = False
    run_dir: Path | None = None
    runs_folder: Path = Path("runs")
    launcher: "Launcher | None" = None
    elsewhere: bool = False
    job: JobRecord | None = None

    @property
    def folder(self) -> Path:
        """Where the run will be written."""
        return self.run_dir or self.runs_folder


@dataclass(frozen=True)
class RunContext:
    """A run with everything that its stages read; each part is read once, on first use.

    Attributes:
        run: The run directory.
        progress: Reports each step.
        job: The job of Hugging Face Jobs that does it now, if one does.
    """

    run: RunDirectory
    progress: Progress
    job: JobRecord | None = None

    @classmethod
    def open(cls, path: Path, progress: Progress) -> "RunContext":
        """Opens the run in a folder.

        Raises:
            RecordError: There is no run at `path`.
        """
        return cls(RunDirectory.open(path), progress)

    @property
    def config(self) -> TuneConfig:
        """The run's config, as its directory holds it now; see `RunDirectory.config`."""
        return self.run.config()

    @cached_property
    def pins(self) -> PinSet:
        """The commits of the run's inputs.

        Raises:
            RecordError: They are missing, or were changed.
        """
        return self.run.read(PinSet)

    @cached_property
    def base(self) -> "PinnedBase":
        """The base model's snapshot, whose code may be run if the config allows that of its commit, and its tokenizer.

        Raises:
            RecordError: It is not in the cache any longer.
            RemoteCodeError: It needs code that the config does not allow.
            ModelError: Its tokenizer cannot be loaded, or has a token that the config adds.
        """
        from hubtune.models.added_tokens import add_tokens
        from hubtune.models.pretrained import PinnedBase, load_tokenizer

        pin = self.pins.base
        folder = cached(pin)
        permit(folder, pin.repo, pin.commit, CodeConsent(self.config.base.allow_remote_code))
        tokenizer = load_tokenizer(folder, pin.repo)
        add_tokens(tokenizer, self.config.train.added_tokens, pin.repo)
        return PinnedBase(pin, folder, tokenizer)

    @property
    def classes(self) -> "Classes | None":
        """What the run's model distinguishes, by its data record; None if it writes text."""
        from hubtune.models.classifier import Classes
        from hubtune.models.pretrained import pad_id

        data = self.run.read(DataRecord)
        if data.labels is None:
            return None
        return Classes(tuple(data.labels), data.several_labels, pad_id(self.base.tokenizer))

    def data_job(self) -> "DataJob":
        """Returns the datasets, in the cache or in local files, and what their rows are encoded by."""
        from hubtune.data.prepare import DataJob

        places = data_places(self.config, self.pins, cached)
        base = self.base
        return DataJob(self.config, self.pins, places, base.tokenizer, self.progress, base.context_length)

    def train_job(
        self,
        prepared: "Prepared",
        *,
        resume: bool,
        processes: "Processes | None" = None,
        watch: "Callable[[Sequence[HeldOutPoint]], None] | None" = None,
    ) -> "TrainJob":
        """Returns what to train on the prepared rows, canaries and replayed rows among them.

        Args:
            prepared: The run's data.
            resume: Whether to resume from a checkpoint, if there is one.
            processes: The processes of the training; None for this one alone.
            watch: Called with the measurements of the held-out rows so far, after each.
        """
        from hubtune.data.canaries import with_canaries
        from hubtune.models.adapters import PinnedAdapter
        from hubtune.train.processes import ALONE
        from hubtune.train.setup import TrainJob

        adapter = self.pins.adapter
        return TrainJob(
            self.run,
            self.base,
            with_canaries(prepared.train_with_replay, prepared.planted.rows),
            self.progress,
            classes=self.classes,
            adapter=None if adapter is None else PinnedAdapter(adapter, cached(adapter)),
            held_out=prepared.watched,
            earlier=None if prepared.earlier is None else prepared.earlier.rows,
            resume=resume,
            processes=processes or ALONE,
            watch=watch,
        )

    def evaluation_job(self, prepared: "Prepared") -> "EvaluationJob":
        """Returns what to measure on the prepared rows.

        Raises:
            RecordError: The run was not trained.
        """
        from hubtune.evaluate.evaluation import EvaluationJob
        from hubtune.evaluate.measurement import EarlierHeldOut, MeasuredRows

        training, earlier = self.run.read(TrainingRecord), prepared.earlier
        rows = MeasuredRows(
            prepared.train,
            prepared.held_out,
            self.run.read(DataRecord),
            None if earlier is None else EarlierHeldOut(earlier.rows.held_out, training.earlier),
        )
        return EvaluationJob(self.run, self.base, training, rows, self.progress, self.classes)


class FolderOf(Protocol):
    """Finds the snapshot of a pin; if its rows are streamed, the folder with its card."""

    def __call__(self, pin: Pin, /, *, streamed: bool) -> Path:
        """Returns the folder."""


def data_places(config: TuneConfig, pins: PinSet, folder_of: FolderOf) -> list[Path]:
    """Returns the place of each dataset: the folder of a snapshot, or a local file.

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


def refuse_classifier(data: DataRecord, job: str) -> None:
    """Refuses a job that needs a text-generation model.

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
    """Refuses if a package that `what` needs is missing.

    Raises:
        MissingExtraError: One is; the hint says how to install all of them.
    """
    missing = [name for name in _TRAIN if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{what} needs packages that are not installed: {', '.join(missing)}.",
            hint='Install them: pip install "hubtune[train]"',
        )
