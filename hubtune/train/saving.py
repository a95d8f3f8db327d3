"""When a checkpoint is made: every so many steps, or every few minutes, and when the user stops the run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hubtune.errors import InterruptedTrainingError, advise
from hubtune.records.rundir import RunDirectory
from hubtune.stopping import exit_code, noticed
from hubtune.train.checkpoints import Checkpoints

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

# At most this much work is lost where the config does not say when to save.
_SECONDS = 300.0


class Saver(TrainerCallback):  # type: ignore[misc]
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
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        due = (
            state.global_step % self._every == 0 if self._every else time.monotonic() - self._saved > _SECONDS
        ) and state.global_step < state.max_steps
        if due or self._stop is not None:
            # A loss that is no number is noticed when it is logged, which comes before saving.
            control.should_log = control.should_save = True

    def on_save(
        self,
        args: "TrainingArguments",  # noqa: ARG002
        state: "TrainerState",
        control: "TrainerControl",  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
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
