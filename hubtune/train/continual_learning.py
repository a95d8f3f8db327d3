"""Elastic weight consolidation: weights that matter to an earlier task are kept close to their initial values.

Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (2017, arXiv:1612.00796). The posterior of
the earlier task is approximated by a Gaussian around the initial weights, with the diagonal of the Fisher information
as its precision. So the loss of the new task gets the penalty `strength / 2 * sum_i F_i * (weight_i - start_i)^2`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from hubtune.data.partition import EarlierRows
from hubtune.data.tokenization import IGNORED, Example
from hubtune.errors import TrainingError
from hubtune.records.base import Progress
from hubtune.records.results import EarlierTaskRecord
from hubtune.train.batching import Batcher
from hubtune.train.callbacks import first_rows, row_losses
from hubtune.train.loss import ClassBatcher, ClassLoss, SummedLoss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# Numbers of the log-softmax that are held at once while targets are drawn.
_NUMBERS = 2**24


@dataclass(frozen=True)
class Held:
    """One tensor of trained weights; all three have its shape.

    Attributes:
        weight: The weights as they are now.
        start: As they were at the start.
        fisher: How much each matters.
    """

    weight: torch.nn.Parameter
    start: torch.Tensor
    fisher: torch.Tensor


@dataclass(frozen=True)
class Consolidation:
    """What holds the weights.

    Attributes:
        strength: The factor lambda, at least 0.
        held: All trained weights.
    """

    strength: float
    held: Sequence[Held]

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Adds the penalty's gradient to that of the weights; once for an optimizer step, before clipping."""
        for one in self.held:
            pull = one.fisher * (one.weight - one.start)
            if one.weight.grad is None:
                one.weight.grad = torch.zeros_like(one.weight)
            one.weight.grad.add_(pull, alpha=self.strength)

    @torch.no_grad()
    def penalty(self) -> float:
        """Returns the penalty of the weights as they are now."""
        return self.strength / 2 * sum(float((one.fisher * (one.weight - one.start) ** 2).sum()) for one in self.held)


def consolidate(loss: SummedLoss, fisher: Mapping[str, torch.Tensor], strength: float) -> Consolidation:
    """Returns what holds a model's trained weights to where they are now.

    Args:
        loss: The model, wrapped into its loss.
        fisher: How much each weight matters to the earlier task; see `diagonal_fisher`.
        strength: The factor lambda.
    """
    weights = {name: weight for name, weight in loss.named_parameters() if weight.requires_grad}
    return Consolidation(
        strength, [Held(weight, weight.detach().clone(), fisher[name]) for name, weight in weights.items()]
    )


def diagonal_fisher(
    loss: SummedLoss, batcher: Batcher, rows: Sequence[Example], seed: int, progress: Progress
) -> dict[str, torch.Tensor]:
    """Estimates the diagonal of the Fisher information of each tensor of trained weights, by its name.

    It is the mean over the rows of the squared gradient of a row's log-likelihood. Targets are drawn from what the
    model itself foresees after the row's own prefixes, one for each target token: that is the Fisher
    information. With the row's own tokens for targets (the "empirical Fisher") it would vanish if the model fits the
    rows, which it does after learning them, and would not be the curvature (Kunstner et al., 2019, arXiv:1905.12558).
    As the drawn targets are independent given the prefixes, the products of different tokens' gradients vanish in
    expectation.

    The targets are the same for the same weights, rows and seed, and torch's own generators are left as they are, so
    that a run that continues from a checkpoint finds the same again.

    Args:
        loss: The model, wrapped into its loss; its gradients are empty afterwards.
        batcher: Makes batches of rows.
        rows: Rows of the earlier task.
        seed: Of the targets.
        progress: Reports each row.

    Raises:
        TrainingError: A row has no likelihood that is a number, or its gradient is not a number.
    """
    weights = {name: weight for name, weight in loss.named_parameters() if weight.requires_grad}
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    generator = torch.Generator().manual_seed(seed)
    was_training = loss.training
    loss.eval()
    with progress.task("Estimating Fisher information on the earlier task", len(rows)) as task:
        for row in rows:
            loss.zero_grad(set_to_none=True)
            batch = {name: values.to(loss.model.device) for name, values in batcher([row]).items()}
            loss(**_with_drawn_targets(loss.model, batch, generator))["loss"].backward()
            for name, weight in weights.items():
                if weight.grad is not None:
                    total[name].addcmul_(weight.grad, weight.grad)
            task.advance()
    loss.zero_grad(set_to_none=True)
    loss.train(was_training)
    if not all(bool(values.isfinite().all()) for values in total.values()):
        raise TrainingError(
            "What the earlier task needs cannot be estimated: the gradient of an earlier row is NaN or infinite.",
            hint="Set `train.precision: fp32`, or leave the weights free with `earlier.ewc: 0`.",
        )
    return {name: values / len(rows) for name, values in total.items()}


@torch.no_grad()
def _with_drawn_targets(
    model: "PreTrainedModel", batch: Mapping[str, torch.Tensor], generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Returns the batch with targets that the model foresees in place of the rows' own; what is read stays the same."""
    inputs = {name: values for name, values in batch.items() if name not in ("labels", "places", "targets")}
    logits = model(**inputs, use_cache=False).logits.flatten(0, 1)
    targets = torch.cat(
        [_draw(logits[places], generator) for places in batch["places"].split(max(1, _NUMBERS // logits.shape[1]))]
    )
    labels = batch["labels"].clone()
    labels[:, 1:][labels[:, 1:] != IGNORED] = targets
    return {**batch, "labels": labels, "targets": targets}


def _draw(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draws a token for each line of logits, shape (lines,).

    By the inverse of the cumulated probabilities and numbers that are drawn on the CPU, which are the same on every
    device; the likelihoods are in fp64, since fp32 sums of a large vocabulary stray.
    """
    sums = logits.double().softmax(dim=1).cumsum(dim=1)
    drawn = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64).to(logits.device)
    return torch.searchsorted(sums, drawn * sums[:, -1:], right=True).squeeze(1).clamp_(max=logits.shape[1] - 1)


@dataclass(frozen=True)
class EarlierTask:
    """What a training knows of an earlier task.

    Attributes:
        before: The loss of each held-out row that is measured at the start, in nats.
        consolidation: What holds the weights; None if nothing does.
    """

    rows: EarlierRows
    loss: SummedLoss
    batcher: Batcher
    before: list[float]
    consolidation: Consolidation | None = None

    @classmethod
    def begin(
        cls,
        rows: EarlierRows,
        loss: SummedLoss | ClassLoss,
        batcher: Batcher | ClassBatcher,
        progress: Progress,
    ) -> "EarlierTask":
        """Measures a model that has not been trained yet.

        Args:
            rows: The earlier task's.
            loss: The model at the start, wrapped into its loss.
            batcher: Makes batches of rows.
            progress: Reports what is measured.
        """
        assert isinstance(loss, SummedLoss), "the data stage refuses rows to classify"
        assert isinstance(batcher, Batcher), "it goes with the loss"
        measured = first_rows(rows.held_out)
        before = row_losses(loss, measured, batcher)
        initial = sum(before) / _tokens(measured)
        progress.say(f"Initial loss on {len(measured):,} rows of the earlier task: {initial:.3f}")
        return cls(rows, loss, batcher, before)

    def consolidated(self, strength: float, seed: int, progress: Progress) -> "EarlierTask":
        """Returns the task with what holds the weights to where they are now.

        Args:
            strength: The factor lambda; 0 leaves them free.
            seed: Of the targets that are drawn; see `diagonal_fisher`.
            progress: Reports each row.
        """
        if not strength:
            return self
        fisher = diagonal_fisher(self.loss, self.batcher, self.rows.fisher, seed, progress)
        return replace(self, consolidation=consolidate(self.loss, fisher, strength))

    def finish(self, progress: Progress) -> EarlierTaskRecord:
        """Measures the model as it is now; returns what became of the earlier task."""
        rows = first_rows(self.rows.held_out)
        after, tokens = row_losses(self.loss, rows, self.batcher), _tokens(rows)
        record = EarlierTaskRecord(
            rows=len(rows),
            tokens=tokens,
            before=sum(self.before) / tokens,
            after=sum(after) / tokens,
            row_tokens=[row.learned for row in rows],
            row_before=self.before,
            row_after=after,
            replayed=len(self.rows.replayed),
            ewc=0 if self.consolidation is None else self.consolidation.strength,
            fisher_rows=len(self.rows.fisher),
            penalty=None if self.consolidation is None else self.consolidation.penalty(),
        )
        progress.say(f"Final loss on the earlier task: {record.after:.3f}, {record.forgetting:+.3f} nats per token")
        return record


def _tokens(rows: Sequence[Example]) -> int:
    return sum(row.learned for row in rows)
