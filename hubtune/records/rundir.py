"""The run directory: a run's config, records, events and files, and the check that they belong together."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from hubtune.config.load import dump_config, evaluation_digest, load_config, training_digest
from hubtune.config.schema import TuneConfig
from hubtune.errors import RecordError
from hubtune.records.base import Record, disk_errors, sha256_file, write_atomic
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.licenses import LicenseRecord
from hubtune.records.merge import MergeRecord
from hubtune.records.pins import PinSet
from hubtune.records.probe import MergedProbeRecord, ProbeRecord
from hubtune.records.ratings import RATINGS, PairsRecord, RatingsRecord
from hubtune.records.release import CounterpartRecord, ReleaseRecord
from hubtune.records.training import TrainingRecord

R = TypeVar("R", bound=Record)

# File of each record, and the stage's command that writes it.
_FILES: dict[type[Record], tuple[str, str]] = {
    PinSet: ("pins.json", "hubtune run"),
    LicenseRecord: ("licenses.json", "hubtune card render"),
    DataRecord: ("data.json", "hubtune train"),
    TrainingRecord: ("training.json", "hubtune train"),
    EvaluationRecord: ("evaluation.json", "hubtune evaluate"),
    ProbeRecord: ("probe.json", "hubtune evaluate"),
    PairsRecord: (f"{RATINGS}/pairs.json", "hubtune rate"),
    RatingsRecord: ("ratings.json", "hubtune rate --report"),
    MergeRecord: ("merge.json", "hubtune publish"),
    MergedProbeRecord: ("merged-probe.json", "hubtune publish"),
    ReleaseRecord: ("release.json", "hubtune publish"),
    CounterpartRecord: ("counterpart.json", "hubtune publish --counterpart"),
}

# Parts of the config that a record can be made from.
_SECTIONS: dict[str, Callable[[TuneConfig], str]] = {"config": training_digest, "evaluate": evaluation_digest}


class RunDirectory:
    """A run on disk. Records are written atomically; reading one checks that what it was made from is unchanged."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @classmethod
    def create(cls, config: TuneConfig, *, path: Path | None = None, parent: Path = Path("runs")) -> "RunDirectory":
        """Makes a run directory, `parent/<UTC time>-<random>` unless `path` is given, and writes the config into it.

        Raises:
            RecordError: `path` holds something already.
            DiskFullError: There is no room.
        """
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        run = cls(path or parent / name)
        if run.path.exists() and any(run.path.iterdir()):
            raise RecordError(
                f"{run.path} is not empty.",
                hint="Give another folder with --run-dir, or go on with the run in it: add --resume.",
            )
        with disk_errors(run.path.parent):
            run.path.mkdir(parents=True, exist_ok=True)
        write_atomic(run.config_file, dump_config(config))
        return run

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Opens an existing run.

        Raises:
            RecordError: There is no run at `path`.
        """
        run = cls(path)
        if not run.config_file.is_file():
            raise RecordError(
                f"{path} is not a run directory: it has no config.yaml.",
                hint="Give the folder that `hubtune run` named, such as runs/20260131-120000-ab12cd.",
            )
        return run

    @property
    def config_file(self) -> Path:
        """The whole config, defaults written out."""
        return self.path / "config.yaml"

    @property
    def adapter_dir(self) -> Path:
        """The trained adapter."""
        return self.path / "adapter"

    @property
    def model_dir(self) -> Path:
        """The whole model: the adapter merged into the base, or what a method without adapters made."""
        return self.path / "model"

    @property
    def checkpoints_dir(self) -> Path:
        """What a training that was stopped goes on from."""
        return self.path / "checkpoints"

    def trained_dir(self, training: TrainingRecord) -> Path:
        """Returns the folder with what was trained: the adapter or the whole model."""
        return self.model_dir if training.whole else self.adapter_dir

    @property
    def trained(self) -> bool:
        """Whether the run has been trained, and what came of it is there."""
        return self.has(TrainingRecord) and self.trained_dir(self.read(TrainingRecord)).is_dir()

    @property
    def ratings_dir(self) -> Path:
        """The pairs that raters compare, and their answers."""
        return self.path / RATINGS

    @property
    def card_file(self) -> Path:
        """The rendered model card."""
        return self.path / "README.md"

    def config(self) -> TuneConfig:
        """Reads the run's config."""
        return load_config(self.config_file, started=True)

    def write_config(self, config: TuneConfig) -> None:
        """Replaces the run's config."""
        write_atomic(self.config_file, dump_config(config))

    def record_file(self, kind: type[Record]) -> Path:
        """Returns the file that holds the record of that kind."""
        return self.path / _FILES[kind][0]

    def has(self, kind: type[Record]) -> bool:
        """Whether there is a record of that kind, and all that it was made from is as it was."""
        try:
            self.read(kind)
        except RecordError:
            return False
        return True

    def write(self, record: Record) -> None:
        """Writes a record into its file, atomically."""
        write_atomic(self.record_file(type(record)), record.to_json())

    def read(self, kind: type[R]) -> R:
        """Reads the record of that kind.

        Raises:
            RecordError: It is missing, or the config or a record that it was made from has changed since.
        """
        name, command = _FILES[kind]
        path = self.path / name
        if not path.is_file():
            raise RecordError(f"{self.path} has no {name} yet.", hint=f"Make it first: {command} {self.path}")
        record = kind.read(path)
        upstream: dict[str, str] = getattr(record, "upstream", {})
        now = self.digests(*(key for key in upstream))
        changed = [key for key, digest in upstream.items() if now[key] != digest]
        if changed:
            raise RecordError(
                f"{name} in {self.path} was made from another {' and '.join(changed)} than the run holds now.",
                hint=f"Make it again from what is there: {command} {self.path}",
            )
        return record

    def digests(self, *names: str) -> dict[str, str]:
        """Returns the sha256 of each named upstream: a file, or `config` or `evaluate`, the sections of the config.

        A record that is missing has the digest of nothing, the empty text.
        """
        found = {}
        for name in names:
            path = self.path / name
            if name in _SECTIONS:
                found[name] = _SECTIONS[name](self.config())
            else:
                found[name] = sha256_file(path) if path.is_file() else ""
        return found

    def event(self, stage: str, **values: str | float | int | None) -> None:
        """Appends one line to events.jsonl: the time, the stage and the values."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": stage, **values})
        with disk_errors(self.path), (self.path / "events.jsonl").open("a", encoding="utf-8") as events:
            events.write(line + "\n")
