"""The training loop: micro-batches to summed losses, sums to steps, and nothing that waits for the device between."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

from hubtune.data.tokens import Example
from hubtune.records.training import HeldOutPoint, LossPoint
from hubtune.train.batches import Batch, Batcher
from hubtune.train.order import RowOrder
from hubtune.train.randomness import RandomState

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class LoopState:
    """What is carried from step to step; with the weights and the optimizer's state it is the whole run.

    Attributes:
        pending: Summed loss, in nats, of the steps since the last that was logged; a scalar on the device.
        random: The random state before the next step.
        step: Steps that are done.
        labels: Tokens that carried loss so far.
        tokens: Tokens that were read so far, without padding.
        pending_labels: Labels of the steps since the last that was logged.
        losses: The loss curve.
        held_out: The losses on held-out rows.
        seconds: Wall time so far.
    """

    pending: "Tensor"
    random: RandomState
    step: int = 0
    labels: int = 0
    tokens: int = 0
    pending_labels: int = 0
    losses: list[LossPoint] = field(default_factory=list)
    held_out: list[HeldOutPoint] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def start(cls, device: "torch.device") -> "LoopState":
        """Returns the state before the first step."""
        return cls(pending=torch.zeros((), device=device), random=RandomState.now())


class Watcher(Protocol):
    """Who is told of the loop's course."""

    def before_batch(self, state: LoopState) -> None:
        """Called before each micro-batch; `state` is that after the last whole step. May end the loop by raising."""

    def logged(self, state: LoopState) -> None:
        """Called when a point of the loss curve has been added."""

    def after_step(self, state: LoopState) -> bool:
        """Called after each step; says whether to go on."""


@dataclass(frozen=True)
class Loop:
    """One run of the optimizer over the rows.

    Attributes:
        loss: The module that returns the summed loss of a batch; its arguments are those of `Batch.arguments`.
        weights: The trainable weights by name, in fp32.
        examples: The rows to train on.
        order: Which rows each step takes.
        batcher: Makes batches of them.
        micro: How many rows go through the model at once; a step sums over as many micro-batches as it needs.
        optimizer: Updates the weights.
        rate: The learning rate of a step, counted from 0.
        max_norm: The length that gradients are clipped to; 0 for none.
        scaler: Scales the loss where gradients in fp16 would vanish.
        log_every: Steps between two points of the loss curve; the first and the last step have one each.
    """

    loss: torch.nn.Module
    weights: Mapping[str, torch.nn.Parameter]
    examples: Sequence[Example]
    order: RowOrder
    batcher: Batcher
    micro: int
    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    max_norm: float
    scaler: "torch.amp.GradScaler"
    log_every: int

    def run(self, state: LoopState, watcher: Watcher) -> None:
        """Trains from `state`, which moves on with each step, to the end of the order or until the watcher stops it."""
        begun = time.monotonic() - state.seconds
        going = state.step < self.order.steps
        self.loss.train()
        while going:
            norm = self._step(state, watcher)
            state.seconds = time.monotonic() - begun
            if state.step in (1, self.order.steps) or state.step % self.log_every == 0:
                self._log(state, norm)
                watcher.logged(state)
            going = watcher.after_step(state) and state.step < self.order.steps

    def _step(self, state: LoopState, watcher: Watcher) -> "Tensor":
        """Makes one step; returns the length that its gradient had."""
        rows = [self.examples[row] for row in self.order.of(state.step)]
        batches = self._batches(rows)
        labels = sum(len(batch.targets) for batch in batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(state.step)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros_like(state.pending)
        for batch in batches:
            watcher.before_batch(state)
            loss = self.loss(**batch.arguments)
            self.scaler.scale(loss / labels).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(list(self.weights.values()), self.max_norm or float("inf"))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        state.pending += total
        state.pending_labels += labels
        state.labels += labels
        state.tokens += sum(len(row.input_ids) for row in rows)
        state.step += 1
        state.random = RandomState.now()
        return norm

    def _batches(self, rows: Sequence[Example]) -> list[Batch]:
        return [self.batcher.batch(rows[start : start + self.micro]) for start in range(0, len(rows), self.micro)]

    def _log(self, state: LoopState, norm: "Tensor") -> None:
        point = LossPoint(
            step=state.step,
            loss=float(state.pending) / state.pending_labels,
            learning_rate=self.rate(state.step - 1),
            gradient_norm=float(norm),
        )
        state.losses.append(point)
        state.pending.zero_()
        state.pending_labels = 0
