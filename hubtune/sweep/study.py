"""The study: Optuna's storage, the queue of trials in it, and which worker runs which of them.

Every trial is put into the queue when the study is made, and is taken out of it by an atomic change of its state: so
any number of workers share a study, and none runs a trial that another has. A trial whose worker was killed goes into
the queue again; workers of this machine show that they live by a lock, those of others by Optuna's heartbeat.
"""

import contextlib
import fcntl
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import JsonValue, ValidationError

from hubtune.config.sweep import SweepConfig
from hubtune.errors import ConfigError, SweepError
from hubtune.files import file_errors
from hubtune.records.base import PinSet, Record
from hubtune.sweep import storage

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

_FORMAT = 1
_FACTS = "hubtune"
_READY = "ready"
_WORKER = "worker"
# Workers that wait look again this often.
_LOOK = 0.5


class Facts(Record):
    """What a study is of: kept in the study itself, so that no other sweep adds trials to it.

    Attributes:
        format: The version of what hubtune keeps in a study.
        id: Names the folder of its trials.
        sweep: The sweep's settings, without the number of trials, which may grow.
        config: Digests of the config that is varied.
        pins: The inputs' commits, for each combination of inputs that is tried; the config's own come first.
    """

    format: int = _FORMAT
    id: str
    sweep: dict[str, JsonValue]
    config: dict[str, str]
    pins: list[PinSet]

    @classmethod
    def settings(cls, sweep: SweepConfig) -> dict[str, JsonValue]:
        """Returns the settings that two sweeps have in common if they are one."""
        return sweep.model_dump(mode="json", exclude={"trials"})


@dataclass(frozen=True)
class Claimed:
    """A trial that this worker runs, and the number by which its folder is called, which a retry keeps."""

    trial: "Trial"
    first: int


class Study:
    """A study in its storage, as a queue of trials.

    Args:
        place: Where it is kept.
        name: What it is called there.
    """

    def __init__(self, place: storage.Place, name: str) -> None:
        storage.require_optuna()
        self.place, self.name = place, name
        with storage.storage_errors(place):
            self.storage = storage.open_storage(place)
            self._study: optuna.Study | None = None

    @property
    def study(self) -> "optuna.Study":
        """Optuna's study.

        Raises:
            SweepError: There is none of that name.
        """
        import optuna

        if self._study is None:
            try:
                with storage.storage_errors(self.place):
                    self._study = optuna.load_study(study_name=self.name, storage=self.storage)
            except KeyError:
                raise SweepError(
                    f"{self.place} holds no sweep named {self.name}.", hint="Start it first: hubtune sweep"
                ) from None
        return self._study

    @property
    def present(self) -> bool:
        """Whether the storage has the study."""
        import optuna

        with storage.storage_errors(self.place):
            return self.name in optuna.get_all_study_names(self.storage)

    def facts(self, sweep: SweepConfig, config: dict[str, str]) -> Facts:
        """Returns what the study is of, which has to be this sweep.

        Raises:
            SweepError: It is of another, or of another version of hubtune, or not of hubtune.
        """
        with storage.storage_errors(self.place):
            raw = self._when_there(_FACTS)
        if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
            made = "another version of hubtune" if isinstance(raw, dict) else "another program"
            raise SweepError(
                f"The study {self.name} in {self.place} was made by {made}.",
                hint="Give this sweep another storage or another name: `storage` or `name` in the sweep file.",
            )
        try:
            facts = Facts.model_validate(raw)
        except ValidationError:
            raise SweepError(
                f"The study {self.name} in {self.place} was changed by another program.",
                hint="Give this sweep another storage or another name: `storage` or `name` in the sweep file.",
            ) from None
        now = Facts.settings(sweep)
        other = [f"sweep.{key}" for key in now if facts.sweep.get(key) != now[key]]
        other += [f"the config's {key}" for key in config if facts.config.get(key) != config[key]]
        if other:
            raise SweepError(
                f"{self.place} holds another sweep named {self.name}: {', '.join(other)} differ"
                f"{'s' if len(other) == 1 else ''}.",
                hint="To continue that sweep, undo the change; for a new one, name another file as `storage`, or "
                "another `name`, in the sweep file.",
            )
        return facts

    def _when_there(self, key: str) -> JsonValue:
        """Returns an attribute that another worker may be about to write; None if nobody does."""
        until = time.monotonic() + storage.GRACE
        while key not in (attributes := self.study.user_attrs) and self._fresh and time.monotonic() < until:
            time.sleep(_LOOK)
        found: JsonValue = attributes.get(key)
        return found

    @property
    def _fresh(self) -> bool:
        """Whether the study may be one that another worker is about to fill."""
        return not any(trial.state.is_finished() for trial in self.study.get_trials(deepcopy=False))

    def create(self, sweep: SweepConfig, facts: Facts) -> bool:
        """Makes the study; returns whether it is this worker that made it."""
        import optuna

        with storage.storage_errors(self.place):
            try:
                self._study = optuna.create_study(study_name=self.name, storage=self.storage, direction=sweep.direction)
            except optuna.exceptions.DuplicatedStudyError:
                return False
            self.study.set_user_attr(_FACTS, facts.model_dump(mode="json"))
        return True

    def fill(self, sweep: SweepConfig, *, made: bool) -> None:
        """Puts into the queue all trials that are not there yet; others than the study's maker let that one do it."""
        with storage.storage_errors(self.place):
            if not made:
                self._when_there(_READY)
            present = {trial.user_attrs.get("point") for trial in self.study.get_trials(deepcopy=False)}
            points = _points(sweep)
            if len(present) > len(points):
                raise ConfigError(
                    f"The sweep has {len(present)} trials already, and {len(points)} are asked for.",
                    hint=f"Set `sweep.trials` to {len(present)} or more: a sweep can be made longer, not shorter.",
                )
            for number, point in enumerate(points):
                if number not in present:
                    self.study.enqueue_trial(point, user_attrs={"point": number})
            self.study.set_user_attr(_READY, True)

    def prepare(self, sweep: SweepConfig, point: int) -> None:
        """Sets sampler and pruner; what is drawn for a trial follows from the seed and its place in the queue."""
        from optuna.pruners import MedianPruner, NopPruner
        from optuna.samplers import RandomSampler, TPESampler

        seed = (sweep.seed + point) % 2**32
        self.study.sampler = TPESampler(seed=seed) if sweep.sampler == "tpe" else RandomSampler(seed=seed)
        self.study.pruner = MedianPruner() if sweep.pruning == "median" else NopPruner()

    @contextlib.contextmanager
    def claim(self, sweep: SweepConfig, folder: Path) -> Iterator[Claimed | None]:
        """Gives the next trial, which no other worker gets while the block runs; None if none waits.

        Args:
            sweep: The sweep.
            folder: Where this machine's workers lock their trials.
        """
        from optuna.trial import Trial, TrialState

        with contextlib.ExitStack() as stack:
            claimed = None
            with storage.storage_errors(self.place):
                for waiting in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                    lock = _lock(folder, waiting.number)
                    if lock is None:
                        continue
                    identity = self._id_of(waiting)
                    if not self._takes(identity):
                        _unlock(lock)
                        continue
                    stack.callback(_unlock, lock)
                    stack.enter_context(storage.alive(self.storage, identity))
                    self.prepare(sweep, int(waiting.user_attrs.get("point", waiting.number)))
                    trial = Trial(self.study, identity)
                    trial.set_user_attr(_WORKER, _worker_at(folder))
                    claimed = Claimed(trial, first_of(waiting))
                    break
            yield claimed

    def _takes(self, identity: int) -> bool:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        try:
            return self.storage.set_trial_state_values(identity, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def requeue(self, trial: "FrozenTrial | Trial", *, most: int | None = storage.MOST_RETRIES) -> None:
        """Ends a trial that was cut off, and puts it into the queue again.

        Args:
            trial: The trial.
            most: How many times a trial may be cut off; one that is cut off more often stays failed. None for no limit.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.storages import RetryHeartbeatStaleTrialCallback
        from optuna.trial import TrialState

        with storage.unheeded(), storage.storage_errors(self.place):
            try:
                self.storage.set_trial_state_values(self._id_of(trial), TrialState.FAIL)
            except UpdateFinishedTrialError:
                # Another worker was first, and has put it into the queue.
                return
            ended = self.study.get_trials(deepcopy=True)[trial.number]
            RetryHeartbeatStaleTrialCallback(max_retry=most)(self.study, ended)

    def reclaim(self, folder: Path) -> list[int]:
        """Puts trials into the queue again whose workers are gone; returns their numbers."""
        from optuna.storages import fail_stale_trials
        from optuna.trial import TrialState

        before = {trial.number for trial in self.running()}
        for trial in self.running():
            if self._is_gone(trial, folder):
                self.requeue(trial)
        with storage.unheeded(), storage.storage_errors(self.place):
            fail_stale_trials(self.study)
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        return sorted(before & {trial.number for trial in failed if trial.number in before})

    def _is_gone(self, trial: "FrozenTrial", folder: Path) -> bool:
        worker = trial.user_attrs.get(_WORKER)
        if worker is None:
            # Killed between two statements: no heartbeat tells of it.
            began = trial.datetime_start
            return began is not None and datetime.now() - began > timedelta(seconds=storage.GRACE)
        # A lock that is not there was given back by a worker that ended before it could say so.
        lock = _lock(folder, trial.number) if worker == _worker_at(folder) else None
        if lock is None:
            return False
        _unlock(lock)
        return True

    def running(self) -> list["FrozenTrial"]:
        """Returns the trials that a worker runs, or ran when it was killed."""
        from optuna.trial import TrialState

        with storage.storage_errors(self.place):
            return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def wait(self, folder: Path) -> bool:
        """Waits while other workers run the last trials; returns whether a trial of theirs waits in the queue again."""
        from optuna.trial import TrialState

        while self.running():
            time.sleep(_LOOK)
            self.reclaim(folder)
            if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                return True
        return False

    def _id_of(self, trial: "FrozenTrial | Trial") -> int:
        study = self.storage.get_study_id_from_name(self.name)
        return self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)


def first_of(trial: "FrozenTrial") -> int:
    """Returns the number that a trial had before it was first cut off."""
    history = trial.system_attrs.get("retry_history") or [trial.number]
    return int(history[0])


def _points(sweep: SweepConfig) -> list[dict[str, Any]]:
    """Returns what the trials are given: of a grid its points; of a sampler nothing, since it draws."""
    if sweep.sampler != "grid":
        return [{} for _ in range(sweep.count)]
    import random

    points = sweep.points
    if sweep.count < len(points):
        # A part of a grid in the file's order would leave one side of it out.
        random.Random(sweep.seed).shuffle(points)  # noqa: S311 - who knows the seed is to draw the same
    return points[: sweep.count]


def _lock_file(folder: Path, number: int) -> Path:
    return folder / f"trial-{number:03}.lock"


def _worker_at(folder: Path) -> str:
    """Names the workers of this machine that keep their trials in a folder, and so see each other's locks."""
    return f"{socket.gethostname()}:{folder.absolute()}"


def _lock(folder: Path, number: int) -> IO[str] | None:
    """Takes the lock of a trial; None if another process of this machine has it."""
    path = _lock_file(folder, number)
    with file_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _unlock(lock: IO[str]) -> None:
    Path(lock.name).unlink(missing_ok=True)
    lock.close()
