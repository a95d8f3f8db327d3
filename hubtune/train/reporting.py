"""What a training reports besides its losses in events.jsonl: the same to trackers, and what it takes.

Both are kept in the Trainer's log, which is in each checkpoint, so that a training that resumes continues a tracker's
run and adds to what was spent. Neither a tracker nor a meter can stop a training.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from hubtune.records.base import Progress
from hubtune.records.results import TrackerRun
from hubtune.records.rundir import RunDirectory
from hubtune.train.callbacks import held_out_points
from hubtune.train.cost import EnergyMeter, Spent, unassessed
from hubtune.train.trackers import Tracker, explain, in_place, new_trackers, warn_of

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments


_TRACKED = "tracker"


class Tracking(TrainerCallback):
    """Reports to the trackers by transformers' own callbacks; one that fails is left out, and training goes on.

    The Trainer's log says which run of a tracker it is, so that a training that resumes continues it.

    Args:
        run: The run, whose config names the trackers.
        progress: Reports each tracker's run.
    """

    def __init__(self, run: RunDirectory, progress: Progress) -> None:
        self._run, self._progress = run, progress
        self._open: dict[str, tuple[Tracker, TrainerCallback]] = {}
        self._last: tuple[Any, ...] = ()
        self._seen = 0

    def on_train_begin(
        self,
        args: "TrainingArguments",
        state: "TrainerState",
        control: "TrainerControl",
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero:
            return
        self._last, self._seen = (args, state, control), len(state.log_history)
        for tracker in new_trackers(self._run, tracker_runs(state.log_history)):
            with self._guarded(tracker):
                self._begin(tracker, kwargs)

    def _begin(self, tracker: Tracker, kwargs: dict[str, Any]) -> None:
        args, state, _ = self._last
        tracker.first_step, args.run_name, args.project = state.global_step, tracker.run_name, tracker.project
        callback = tracker.callback()
        callback.on_train_begin(*self._last, **kwargs)
        self._open[tracker.name] = (tracker, callback)
        begun = tracker.begun()
        _note(state, begun)
        self._progress.say(f"{tracker.title}: {begun.address or 'on this machine'}")

    def on_log(
        self,
        _args: "TrainingArguments",
        _state: "TrainerState",
        _control: "TrainerControl",
        logs: dict[str, float] | None = None,
        **_kwargs: Any,
    ) -> None:
        self._report(logs or {})

    def on_step_end(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        _control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        new, self._seen = state.log_history[self._seen :], len(state.log_history)
        for point in held_out_points(new) if self._open else ():
            values = point.model_dump(exclude={"step"}, exclude_none=True)
            self._report({f"eval_{name}": value for name, value in values.items()})

    def _report(self, logs: dict[str, float]) -> None:
        for tracker, callback in list(self._open.values()):
            with self._guarded(tracker):
                callback.on_log(*self._last, logs=dict(logs))

    def close(self) -> None:
        """Has each tracker write what it still holds."""
        for tracker, callback in list(self._open.values()):
            with self._guarded(tracker):
                tracker.finish(callback, *self._last)
        self._open.clear()

    @contextmanager
    def _guarded(self, tracker: Tracker) -> Iterator[None]:
        try:
            with in_place(tracker):
                yield
                failure = tracker.failure()
                if failure is not None:
                    raise OSError(failure)
        except Exception as error:  # noqa: BLE001 - the last net: whatever a tracker raises, training goes on
            self._open.pop(tracker.name, None)
            self._note_failure(tracker, warn_of(tracker, error, self._run, self._progress))
        while tracker.warned:
            said = tracker.warned.pop(0)
            self._progress.warn(f"{tracker.title}: {said}")
            self._note_failure(tracker, said)

    def _note_failure(self, tracker: Tracker, said: str) -> None:
        state = self._last[1]
        known = {each.tracker: each for each in tracker_runs(state.log_history)}
        lost = TrackerRun(tracker=tracker.name, project=tracker.project, run=tracker.id)
        _note(state, known.get(tracker.name, lost).model_copy(update={"failed": said}))


def _note(state: "TrainerState", run: TrackerRun) -> None:
    state.log_history.append({"step": state.global_step, _TRACKED: run.model_dump()})


def tracker_runs(history: list[dict[str, Any]]) -> list[TrackerRun]:
    """Returns the trackers' runs that the Trainer's log holds, each as it was last."""
    runs = [TrackerRun.model_validate(entry[_TRACKED]) for entry in history if _TRACKED in entry]
    return list({run.tracker: run for run in runs}.values())


_SPENT = "spent"


class Spending(TrainerCallback):
    """Notes in the Trainer's log what the training takes, at each checkpoint and at the end.

    Args:
        country: Where the training is, for codecarbon; None if energy is not to be metered.
        progress: Reports a meter that cannot be used.
    """

    def __init__(self, country: str | None, progress: Progress) -> None:
        self._country, self._progress = country, progress
        self._state: TrainerState | None = None
        self._before, self._clock = Spent(), 0.0
        self._meter: EnergyMeter | None = None
        self._reason = unassessed(country)

    def on_train_begin(
        self,
        _args: "TrainingArguments",
        state: "TrainerState",
        _control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        self._state, self._before = state, spent(state.log_history)
        if self._country is not None and state.is_world_process_zero:
            self._begin(self._country)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._clock = time.monotonic()

    def _begin(self, country: str) -> None:
        if self._reason is None:
            try:
                self._meter = EnergyMeter(country)
            except Exception as error:  # noqa: BLE001 - the last net: a meter that fails costs no training
                self._reason = f"codecarbon failed: {explain(error)}"
        if self._reason is not None:
            self._progress.warn(f"Energy and CO2 are not assessed: {self._reason}")

    def on_step_end(
        self,
        _args: "TrainingArguments",
        _state: "TrainerState",
        control: "TrainerControl",
        **_kwargs: Any,
    ) -> None:
        if control.should_save:
            self._note()

    def close(self) -> None:
        """Notes the whole, and ends the meter."""
        self._note()
        if self._meter is not None:
            self._meter.stop()

    def _note(self) -> None:
        if self._state is None:
            return
        seconds = time.monotonic() - self._clock
        now = Spent(seconds=seconds, method=self._reason or "") if self._meter is None else self._meter.read(seconds)
        self._state.log_history.append(
            {"step": self._state.global_step, _SPENT: now.after(self._before).model_dump(exclude_none=True)}
        )


def spent(history: list[dict[str, Any]]) -> Spent:
    """Returns what the training has taken by the Trainer's log."""
    return next((Spent.model_validate(entry[_SPENT]) for entry in reversed(history) if _SPENT in entry), Spent())
