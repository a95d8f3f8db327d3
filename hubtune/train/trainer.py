"""transformers' Trainer with this project's row order, schedule and checkpoints.

The Trainer provides the loop, the optimizer and, through accelerate, several processes. Overridden are its public
methods for the data loader, the scheduler and the model's part of a checkpoint, and one private method that reads that
part back. A checkpoint is either complete or absent, so that a killed run resumes from the newest one.
"""

import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from hubtune.config.training import TrainConfig
from hubtune.errors import InterruptedTrainingError, RecordError, advise
from hubtune.files import file_errors, room_hint
from hubtune.records.base import Record, sha256_file, write_atomic
from hubtune.records.rundir import RunDirectory
from hubtune.signals import exit_code, noticed
from hubtune.train.batching import Course, MicroBatches, RowOrder, Rows, rate_factor
from hubtune.train.callbacks import Overflows
from hubtune.train.continual_learning import Consolidation
from hubtune.train.loss import ClassLoss, SummedLoss
from hubtune.train.processes import ALONE, Processes

if TYPE_CHECKING:
    from transformers import TrainerControl


WEIGHTS = "trained.safetensors"
"""The trained weights in a checkpoint; the frozen ones are the base's."""

_BEST = "best.safetensors"

# torch begins at 2^16, which overflows in the first steps of many models; it grows by itself.
_FIRST_SCALE = 2.0**13
# Losses are logged about this many times in a run, and at least every ten steps.
_LOGS = 50


class RowTrainer(Trainer):
    """A Trainer over rows.

    Args:
        loss: The model, wrapped into its loss.
        course: The rows, their order and batches, and where to begin.
        callbacks: Called after each step.
        consolidation: What holds the weights to an earlier task; None if they are free.
    """

    def __init__(
        self,
        loss: SummedLoss | ClassLoss,
        course: Course,
        callbacks: "list[TrainerCallback]",
        consolidation: Consolidation | None = None,
    ) -> None:
        self._consolidation = consolidation
        self.course = course
        self.best: dict[str, torch.Tensor] | None = None
        self.lr_scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
        super().__init__(
            model=loss,
            args=_arguments(course),
            train_dataset=Rows(course.examples),
            data_collator=course.batcher,
            callbacks=callbacks,
        )
        # Without tqdm, transformers prints each log as a dict on stdout, which belongs to the command's result.
        self.remove_callback(PrinterCallback)
        sharding = course.processes.sharding
        asked = (sharding is not None and sharding.stage is None, sharding is not None and sharding.stage is not None)
        assert (self.is_fsdp_enabled, self.is_deepspeed_enabled) == asked, "the record says what splits the memory"
        if course.scaled:
            # accelerate would make one on a GPU alone, and have layers that compute in fp32 compute in fp16.
            self.accelerator.scaler = torch.amp.GradScaler(self.args.device.type, init_scale=_FIRST_SCALE)
            self.add_callback(Overflows(self.accelerator.scaler))
        if not course.processes.main:
            # The first process draws what one process alone would; the same dropout for other rows would be no chance.
            set_seed(course.settings.seed + course.processes.rank)

    def get_train_dataloader(self) -> "torch.utils.data.DataLoader[Any]":
        """Returns the micro-batches, in the order that the seed and the epoch decide."""
        course = self.course
        loader = torch.utils.data.DataLoader(
            self.train_dataset,
            batch_sampler=MicroBatches(course.order, course.share, course.first_step // course.order.per_epoch),
            collate_fn=self.data_collator,
            pin_memory=torch.cuda.is_available(),
            # Else going through it draws from the generator that dropout draws from.
            generator=torch.Generator(),
        )
        # The sampler gives this process its share already.
        return prepare_data_loader(loader, self.args.device, num_processes=1, process_index=0, put_on_device=True)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Does one micro-batch; after the last one of a step, its gradients are complete and have their own scale."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if self.accelerator.sync_gradients:
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.unscale_(self.optimizer.optimizer)
            if self._consolidation is not None:
                self._consolidation.add_gradient()
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Returns the learning rate schedule, and stores it."""
        if self.lr_scheduler is None:
            settings = self.course.settings
            factor = rate_factor(settings.schedule, num_training_steps, warmup_steps(settings, self.course.order))
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def go(self, ended: Callable[[list[dict[str, float]]], bool]) -> None:
        """Trains to the end, from the course's checkpoint if there is one; one of the last step is only loaded.

        Args:
            ended: Whether a training with such a log has ended before its last step.
        """
        checkpoint = self.course.checkpoint
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            if state.global_step >= self.course.order.steps or ended(state.log_history):
                self._load_from_checkpoint(str(checkpoint))
                self.state = state
                return
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the trained weights, the model's part of a checkpoint."""
        from safetensors.torch import save_file

        folder = Path(output_dir or self.args.output_dir)
        weights = self.trained()
        if not self.course.processes.main:
            return
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / WEIGHTS)
        if self.best is not None:
            save_file(self.best, folder / _BEST)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with file_errors(Path(self.args.output_dir), hint=room_hint()):
            super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002 - its form
        from safetensors.torch import load_file

        folder = Path(resume_from_checkpoint)
        self._put(load_file(folder / WEIGHTS))
        if (folder / _BEST).is_file():
            self.best = load_file(folder / _BEST)

    def keep_best(self) -> None:
        """Stores the current weights as the best ones."""
        self.best = {name: weight.cpu().clone() for name, weight in self.trained().items()}

    def restore_best(self) -> None:
        """Restores the best weights, if there are any."""
        if self.best is not None:
            self._put(self.best)

    def trained(self) -> dict[str, torch.Tensor]:
        """Returns the weights that are trained, by name, each whole; all processes call it at once."""
        weights = trained_weights(self.model)
        with self._gathered(weights):
            found = {}
            for name, weight in weights.items():
                whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
                found[name] = whole.detach().clone(memory_format=torch.contiguous_format)
        return found

    def _put(self, saved: Mapping[str, torch.Tensor]) -> None:
        with self._gathered(trained_weights(self.model), changed=True):
            load_weights(self.model, saved)

    def _gathered(
        self, weights: Mapping[str, torch.nn.Parameter], *, changed: bool = False
    ) -> AbstractContextManager[object]:
        sharding = self.course.processes.sharding
        if sharding is None or not sharding.empties_weights or self.deepspeed is None:
            return nullcontext()
        import deepspeed

        context: AbstractContextManager[object] = deepspeed.zero.GatheredParameters(
            list(weights.values()), modifier_rank=0 if changed else None
        )
        return context


def trained_weights(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Returns the weights that are trained, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def load_weights(model: torch.nn.Module, saved: Mapping[str, torch.Tensor]) -> None:
    """Loads the weights of a checkpoint into the model, which must train exactly these."""
    weights = trained_weights(model)
    assert weights.keys() == saved.keys(), "the manifest was checked, so the checkpoint is of this config"
    with torch.no_grad():
        for name, weight in weights.items():
            if isinstance(weight, DTensor):
                weight.copy_(distribute_tensor(saved[name].to(weight.device), weight.device_mesh, weight.placements))
            else:
                weight.copy_(saved[name])


def warmup_steps(settings: TrainConfig, order: RowOrder) -> int:
    """Returns the number of warmup steps."""
    return math.ceil(settings.warmup * order.steps)


def _arguments(course: Course) -> TrainingArguments:
    settings, steps, share = course.settings, course.order.steps, course.share
    arguments = TrainingArguments(
        output_dir=str(course.folder),
        max_steps=steps,
        per_device_train_batch_size=share.size,
        gradient_accumulation_steps=share.accumulated,
        learning_rate=settings.learning_rate,
        optim="adamw_torch_fused",
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        logging_steps=settings.logging_steps or max(1, min(10, steps // _LOGS)),
        logging_first_step=True,
        # Else transformers puts the mean of earlier losses in place of one that is not a number.
        logging_nan_inf_filter=False,
        # When to save is the checkpoints' own matter.
        save_strategy="no",
        # The trackers are called by a callback that goes on when one of them fails; and none makes a Space of its own.
        report_to="none",
        trackio_static_space_id=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=settings.seed,
        data_seed=settings.seed,
        **{"use_cpu": not torch.cuda.is_available(), **course.processes.arguments(settings)},
    )
    # Several GPUs want one process each; the Trainer's threads would cut packed batches apart.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


MANIFEST = "manifest.json"
_NAME = re.compile(r"checkpoint-(\d+)")


class CheckpointManifest(Record):
    """What a checkpoint holds.

    Attributes:
        step: Optimizer steps that were done.
        upstream: Digests of what the run trains on: the config's sections, the pins and the data record.
        processes: How many processes wrote it, and what split the memory over them.
        files: Its files: name to sha256.
    """

    step: int
    upstream: dict[str, str]
    processes: str = "1 process"
    files: dict[str, str]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: The run's `checkpoints`.
        upstream: Digests of what is trained on; checkpoints of anything else are not gone on from.
        keep: How many are kept.
        processes: The processes of the training, each of which has a part in a checkpoint.
    """

    def __init__(self, folder: Path, upstream: dict[str, str], keep: int, processes: Processes = ALONE) -> None:
        self.folder, self._upstream, self._keep, self._processes = folder, upstream, keep, processes

    @property
    def unfinished(self) -> Path:
        """Where checkpoints are written."""
        return self.folder / ".unfinished"

    def newest(self) -> tuple[int, Path] | None:
        """Returns the newest complete checkpoint of this training: its step and its folder.

        Raises:
            RecordError: Other processes wrote it than those that are here.
        """
        for step, path in reversed(self._all()):
            if self._complete(path):
                written = CheckpointManifest.read(path / MANIFEST).processes
                if written != str(self._processes):
                    raise RecordError(
                        f"The checkpoint after step {step:,} was written by {written}, and this training has "
                        f"{self._processes}: each continues with its own random numbers and its own part of the state.",
                        hint="Resume with the --launch that the training was started with; or train again from the "
                        f"start: hubtune train {self.folder.parent}",
                    )
                return step, path
        return None

    @property
    def present(self) -> bool:
        """Whether there are any, complete or not."""
        return bool(self._all())

    def seal(self, step: int) -> Path:
        """Completes the checkpoint in `unfinished`, and removes those that are not kept.

        Raises:
            DiskFullError: There is no room; earlier checkpoints are as they were.
        """
        written, target = self.unfinished / f"checkpoint-{step}", self.folder / f"checkpoint-{step}"
        with file_errors(self.folder):
            paths = sorted(path for path in written.rglob("*") if path.is_file())
            files = {path.relative_to(written).as_posix(): sha256_file(path) for path in paths}
            for name in files:
                _to_disk(written / name)
            manifest = CheckpointManifest(
                step=step, upstream=self._upstream, processes=str(self._processes), files=files
            )
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
        """Removes unfinished checkpoints, and the folder if it is empty."""
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


# At most this much work is lost if the config does not say when to save.
_SECONDS = 300.0


class Saver(TrainerCallback):
    """Asks for checkpoints and completes them.

    Args:
        run: The run.
        checkpoints: Its checkpoints.
        every: Steps from one to the next; None for every few minutes.
        processes: The processes of the training.
    """

    def __init__(
        self, run: RunDirectory, checkpoints: Checkpoints, every: int | None, processes: Processes = ALONE
    ) -> None:
        self._run, self._checkpoints, self._every, self._processes = run, checkpoints, every, processes
        self._saved = time.monotonic()
        self._stop: int | None = None

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Turns a stop, such as Ctrl-C, into a checkpoint after the current step; a second stop ends at once."""

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
        # The main process's clock, and whichever process is stopped, count for all: each writes a part.
        due, stop = self._processes.greatest(due and self._processes.main, self._stop or 0)
        self._stop = stop or None
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
        self._processes.wait()
        if self._processes.main:
            self._checkpoints.seal(state.global_step)
            self._run.event("train", event="checkpoint", step=state.global_step)
        self._processes.wait()
        self._saved = time.monotonic()
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
