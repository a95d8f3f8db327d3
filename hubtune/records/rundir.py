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
from hubtune.files import file_errors
from hubtune.records.base import LicenseRecord, PinSet, Record, sha256_bytes, sha256_file, write_atomic
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RATINGS, PairsRecord, RatingsRecord
from hubtune.records.release import CounterpartRecord, MergeRecord, ReleaseRecord
from hubtune.records.remote import RemoteRecord
from hubtune.records.results import EvaluationRecord, MergedProbeRecord, ProbeRecord, TrainingRecord

R = TypeVar("R", bound=Record)

# File of each record, and the stage's command that writes it.
_FILES: dict[type[Record], tuple[str, str]] = {
    PinSet: ("pins.json", "hubtune run --resume --run-dir"),
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
    RemoteRecord: ("remote.json", "hubtune run --remote FLAVOR --run-dir"),
    CounterpartRecord: ("counterpart.json", "hubtune publish --counterpart"),
}

CONFIG = "config.yaml"

# More of one file than anybody goes back to.
_VERSIONS = 100

# Parts of the config that a record can be made from.
_SECTIONS: dict[str, Callable[[TuneConfig], str]] = {"config": training_digest, "evaluate": evaluation_digest}


class WrittenRecord(Record):
    """`written.json`: path in the run to the sha256 of each version that hubtune wrote there, newest last."""

    files: dict[str, list[str]]


class RunDirectory:
    """A run on disk.

    What hubtune writes is written atomically, and its digest is kept in written.json, which shows a change by hand.
    Reading a record checks that it is as it was written, and that what it was made from is unchanged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._config: tuple[str, TuneConfig] | None = None

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
                hint="Give another folder with --run-dir, or resume the run in it: add --resume.",
            )
        with file_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        run.write_config(config)
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
        """The complete config, with defaults written out."""
        return self.path / CONFIG

    @property
    def adapter_dir(self) -> Path:
        """The trained adapter."""
        return self.path / "adapter"

    @property
    def model_dir(self) -> Path:
        """The complete model: the adapter merged into the base model, or the result of a method without adapters."""
        return self.path / "model"

    @property
    def checkpoints_dir(self) -> Path:
        """The checkpoints from which a stopped training resumes."""
        return self.path / "checkpoints"

    def trained_dir(self, training: TrainingRecord) -> Path:
        """Returns the folder with the trained adapter or the complete model."""
        return self.model_dir if training.whole else self.adapter_dir

    @property
    def trained(self) -> bool:
        """Whether the run was trained and its weights are there."""
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
        """Returns the run's config; a file with the same content is parsed once."""
        content = sha256_file(self.config_file) if self.config_file.is_file() else ""
        if self._config is None or self._config[0] != content:
            self._config = (content, load_config(self.config_file, started=True))
        return self._config[1]

    def write_config(self, config: TuneConfig) -> None:
        """Replaces the run's config."""
        self.write_file(CONFIG, dump_config(config))

    def record_file(self, kind: type[Record]) -> Path:
        """Returns the file that holds the record of that kind."""
        return self.path / _FILES[kind][0]

    def has(self, kind: type[Record]) -> bool:
        """Whether there is a record of that kind, and everything that it was made from is unchanged."""
        try:
            self.read(kind)
        except RecordError:
            return False
        return True

    def write(self, record: Record) -> None:
        """Writes a record into its file, atomically."""
        self.write_file(_FILES[type(record)][0], record.to_json())

    def write_file(self, name: str, content: str | bytes) -> None:
        """Writes a file of the run, atomically. Its digest is stored first, so that a crash leaves a known file.

        Args:
            name: Its path in the run.
            content: What it is to hold.
        """
        known = self._written()
        digest = sha256_bytes(content.encode() if isinstance(content, str) else content)
        versions = known.files.get(name, [])
        if digest not in versions:
            files = {**known.files, name: [*versions, digest][-_VERSIONS:]}
            write_atomic(self._written_file, WrittenRecord(files=files).to_json())
        with file_errors(self.path):
            (self.path / name).parent.mkdir(exist_ok=True)
        write_atomic(self.path / name, content)

    def is_as_written(self, name: str) -> bool | None:
        """Whether a file of the run is unchanged since hubtune wrote it; None if that is not known."""
        versions = self._written().files.get(name)
        return None if versions is None else sha256_file(self.path / name) in versions

    @property
    def _written_file(self) -> Path:
        return self.path / "written.json"

    def _written(self) -> WrittenRecord:
        return WrittenRecord.read(self._written_file) if self._written_file.is_file() else WrittenRecord(files={})

    def read(self, kind: type[R]) -> R:
        """Reads the record of that kind.

        Raises:
            RecordError: It is missing or was changed by hand, or what it was made from has changed since.
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
        if self.is_as_written(name) is False:
            raise RecordError(
                f"{name} in {self.path} is not what hubtune wrote: it was changed by hand, and a release says what was "
                "measured.",
                hint=f"Take your change back, or make the record again: {command} {self.path}",
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
        with file_errors(self.path), (self.path / "events.jsonl").open("a", encoding="utf-8") as events:
            events.write(line + "\n")
