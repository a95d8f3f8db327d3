"""The checkpoints of a run: each whole or not there, so that a run that was killed goes on from the newest.

A checkpoint is written beside its place, its files are listed with their digests in a manifest, all of it is brought to
the disk, and it is renamed. So a folder called `checkpoint-<step>` whose files fit its manifest is complete.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hubtune.errors import InterruptedTrainingError, RecordError, advise
from hubtune.files import file_errors
from hubtune.records.base import Record, sha256_file, write_atomic
from hubtune.records.rundir import RunDirectory
from hubtune.signals import exit_code, noticed

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments


MANIFEST = "manifest.json"
_NAME = re.compile(r"checkpoint-(\d+)")


class CheckpointManifest(Record):
    """What a checkpoint holds.

    Attributes:
        step: Optimizer steps that were done.
        upstream: Digests of what the run trains on: the config's sections, the pins and the data record.
        files: Its files: name to sha256.
    """

    step: int
    upstream: dict[str, str]
    files: dict[str, str]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: The run's `checkpoints`.
        upstream: Digests of what is trained on; checkpoints of anything else are not gone on from.
        keep: How many are kept.
    """

    def __init__(self, folder: Path, upstream: dict[str, str], keep: int) -> None:
        self.folder, self._upstream, self._keep = folder, upstream, keep

    @property
    def unfinished(self) -> Path:
        """Where checkpoints are written."""
        return self.folder / ".unfinished"

    def newest(self) -> tuple[int, Path] | None:
        """Returns the newest complete checkpoint of this training: its step and its folder."""
        for step, path in reversed(self._all()):
            if self._complete(path):
                return step, path
        return None

    @property
    def present(self) -> bool:
        """Whether there are any, complete or not."""
        return bool(self._all())

    def seal(self, step: int) -> Path:
        """Completes the checkpoint that was written into `unfinished`, and removes those that are not kept.

        Raises:
            DiskFullError: There is no room; earlier checkpoints are as they were.
        """
        written, target = self.unfinished / f"checkpoint-{step}", self.folder / f"checkpoint-{step}"
        with file_errors(self.folder):
            files = {path.name: sha256_file(path) for path in sorted(written.iterdir())}
            for name in files:
                _to_disk(written / name)
            manifest = CheckpointManifest(step=step, upstream=self._upstream, files=files)
            write_atomic(written / MANIFEST, manifest.to_json())
            _to_disk(written)
            if target.exists():
                shutil.rmtree(target)
            written.rename(target)
            _to_disk(self.folder)
            for _, path in self._all()[: -self._keep]:
                shutil.rmtree(path)
        return target

    def clear(self) -> None:
        """Removes all checkpoints, since a new training begins."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Removes what was not finished, and the folder where it is empty."""
        shutil.rmtree(self.unfinished, ignore_errors=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _all(self) -> list[tuple[int, Path]]:
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("checkpoint-*")]
        return sorted((int(match[1]), path) for match, path in found if match)

    def _complete(self, path: Path) -> bool:
        try:
            manifest = CheckpointManifest.read(path / MANIFEST)
        except RecordError:
            return False
        return manifest.upstream == self._upstream and all(
            (path / name).is_file() and sha256_file(path / name) == digest for name, digest in manifest.files.items()
        )


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# At most this much work is lost where the config does not say when to save.
_SECONDS = 300.0


class Saver(TrainerCallback):
    """Asks for checkpoints and completes them.

    Args:
        run: The run.
        checkpoints: Its checkpoints.
        every: Steps from one to the next; None for every few minutes.
    """

    def __init__(self, run: RunDirectory, checkpoints: Checkpoints, every: int | None) -> None:
        self._run, self._checkpoints, self._every = run, checkpoints, every
        self._saved = time.monotonic()
        self._stop: int | None = None

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Turns a stop, such as Ctrl-C, into a checkpoint after the step that is under way; a second one is at once."""

        def note(number: int) -> None:
            self._stop = number

        with noticed(note):
            yield

    def on_step_end(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        due = (
            state.global_step % self._every == 0 if self._every else time.monotonic() - self._saved > _SECONDS
        ) and state.global_step < state.max_steps
        if due or self._stop is not None:
            # A loss that is no number is noticed when it is logged, which comes before saving.
            control.should_log = control.should_save = True

    def on_save(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        _control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        self._checkpoints.seal(state.global_step)
        self._saved = time.monotonic()
        self._run.event("train", event="checkpoint", step=state.global_step)
        if self._stop is not None:
            raise InterruptedTrainingError(
                f"Training was stopped after step {state.global_step:,} of {state.max_steps:,}, which is saved.",
                hint=advise(
                    "--resume",
                    "Resume it with the same command and --resume, or the training alone: ",
                    "Resume it with the same command, or the training alone: ",
                )
                + f"hubtune train {self._run.path} --resume",
                exit_code=exit_code(self._stop),
            )
