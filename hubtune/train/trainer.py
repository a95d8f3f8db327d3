"""transformers' Trainer with this project's order of rows, schedule and checkpoints.

The Trainer brings the loop, the optimizer and, by accelerate, several processes; what is overridden are its public
methods for the data loader, the scheduler and the model's part of a checkpoint, and one private one, which reads that
part back.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, Trainer, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from hubtune.config.training import TrainConfig
from hubtune.files import file_errors, room_hint
from hubtune.train.batching import Course, MicroBatches, RowOrder, rate_factor
from hubtune.train.callbacks import Overflows
from hubtune.train.continual_learning import Consolidation
from hubtune.train.loss import ClassLoss, SummedLoss

if TYPE_CHECKING:
    from transformers import TrainerCallback

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
            args=_arguments(course.settings, course.order.steps, course.folder),
            train_dataset=course.examples,
            data_collator=course.batcher,
            callbacks=callbacks,
        )
        # Without tqdm, transformers prints each log as a dict on stdout, which belongs to the command's result.
        self.remove_callback(PrinterCallback)
        if course.scaled:
            # accelerate would make one on a GPU alone, and have layers that compute in fp32 compute in fp16.
            self.accelerator.scaler = torch.amp.GradScaler(self.args.device.type, init_scale=_FIRST_SCALE)
            self.add_callback(Overflows(self.accelerator.scaler))

    def get_train_dataloader(self) -> "torch.utils.data.DataLoader[Any]":
        """Returns the micro-batches, in the order that the seed and the epoch decide."""
        course = self.course
        loader = torch.utils.data.DataLoader(
            self.train_dataset,
            batch_sampler=MicroBatches(
                course.order, course.settings.batch_size, course.first_step // course.order.per_epoch
            ),
            collate_fn=self.data_collator,
            pin_memory=torch.cuda.is_available(),
            # Else going through it draws from the generator that dropout draws from.
            generator=torch.Generator(),
        )
        return self.accelerator.prepare(loader)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Does one micro-batch; after the last of a step, its gradients have their own size and lack nothing."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if self.accelerator.sync_gradients:
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.unscale_(self.optimizer.optimizer)
            if self._consolidation is not None:
                self._consolidation.add_gradient()
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Returns the learning rate's course, and keeps it."""
        if self.lr_scheduler is None:
            settings = self.course.settings
            factor = rate_factor(settings.schedule, num_training_steps, warmup_steps(settings, self.course.order))
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def go(self, ended: Callable[[list[dict[str, float]]], bool]) -> None:
        """Trains to the end, from the course's checkpoint if it has one; of one that was made at the end, loads it.

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
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.detach().contiguous() for name, weight in trained_weights(self.model).items()}
        save_file(weights, folder / WEIGHTS)
        if self.best is not None:
            save_file(self.best, folder / _BEST)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with file_errors(Path(self.args.output_dir), hint=room_hint()):
            super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        from safetensors.torch import load_file

        folder = Path(resume_from_checkpoint)
        load_weights(model or self.model, load_file(folder / WEIGHTS))
        if (folder / _BEST).is_file():
            self.best = load_file(folder / _BEST)

    def keep_best(self) -> None:
        """Notes the weights of this moment as the best."""
        self.best = {name: weight.detach().cpu().clone() for name, weight in trained_weights(self.model).items()}

    def restore_best(self) -> None:
        """Puts the best weights back, where there are any."""
        if self.best is not None:
            load_weights(self.model, self.best)


def trained_weights(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Returns the weights that are trained, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def load_weights(model: torch.nn.Module, saved: Mapping[str, torch.Tensor]) -> None:
    """Puts the weights of a checkpoint into the model, which has to train just these."""
    weights = trained_weights(model)
    assert weights.keys() == saved.keys(), "the manifest was checked, so the checkpoint is of this config"
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(saved[name])


def warmup_steps(settings: TrainConfig, order: RowOrder) -> int:
    """Returns how many of the steps are warm-up."""
    return math.ceil(settings.warmup * order.steps)


def _arguments(settings: TrainConfig, steps: int, folder: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
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
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=not torch.cuda.is_available(),
    )
    # Several GPUs want one process each; the Trainer's threads would cut packed batches apart.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
