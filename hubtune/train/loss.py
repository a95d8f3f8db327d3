"""The loss of a step: cross entropy at the target positions, without the logits of all positions in memory at once."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from hubtune.data.batch import collate_classes
from hubtune.data.tokenization import IGNORED, Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# Logits held at once, by the kind of device: 64 MB and 512 MB in fp32.
_LOGITS = {"cpu": 2**24, "cuda": 2**27}
# For a token that is learned, its errors are below what fp16 tells from 0; more would overflow a head of large weights.
_LIFTS = {torch.float16: 2.0**7}
# How far, as a share, the two ways to a loss may lie apart: both take the same logits to fp32 first.
_AGREE = {torch.float32: 1e-4, torch.bfloat16: 1e-2, torch.float16: 1e-2}


class SummedLoss(torch.nn.Module):
    """The sum of the losses of a batch's labeled positions, in nats, over the number of labels of the whole step.

    Only the optimizer step knows over how many labels the mean is to be taken; transformers' Trainer counts them. It is
    a module of its own so that whatever wraps a model for several processes wraps this: its forward makes the loss.

    Args:
        model: The model, with its adapter if it has one.
        own: Whether to leave the loss to the model's own forward, which holds all logits.
        computed: What layers whose weights are held in fp32 compute in, if that is less; the loss is made in fp32.
    """

    # Tells the Trainer to count the labels of a step and hand them to the forward.
    accepts_loss_kwargs = True

    def __init__(self, model: "PreTrainedModel", *, own: bool = False, computed: torch.dtype | None = None) -> None:
        super().__init__()
        self.model, self.config, self.computed = model, model.config, computed
        # What FSDP splits by.
        self._no_split_modules = getattr(_base_of(model), "_no_split_modules", None)
        parts = None if own else _decoder_and_head(model)
        # Held outside of the modules: they are parts of `model` already.
        self._parts = (parts,)

    @property
    def own(self) -> bool:
        """Whether the model's own forward makes the loss."""
        return self._parts[0] is None

    def forward(
        self,
        labels: torch.Tensor,
        places: torch.Tensor,
        targets: torch.Tensor,
        num_items_in_batch: torch.Tensor | int = 1,
        **inputs: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Returns `loss`, a scalar in fp32.

        Args:
            labels: The ids of target tokens, else `IGNORED`, shape (sequences, length).
            places: Where in the flattened batch a token is predicted from, shape (labels,).
            targets: Which token that is, shape (labels,).
            num_items_in_batch: What to divide the sum by: the labels of all micro-batches of the step.
            **inputs: What the model takes: `input_ids` and positions or a mask, each of shape (sequences, length).
        """
        return {"loss": self._summed(inputs, labels, places, targets) / num_items_in_batch}

    def _summed(
        self, inputs: Mapping[str, torch.Tensor], labels: torch.Tensor, places: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        parts = self._parts[0]
        if parts is None:
            with computing_in(self.computed, labels.device):
                if not len(targets):
                    return self.model(**inputs, use_cache=False).logits.float().sum() * 0
                mean: torch.Tensor = self.model(**inputs, labels=labels, use_cache=False).loss
            return mean.float() * len(targets)
        decoder, head = parts
        with computing_in(self.computed, labels.device):
            hidden = decoder(**inputs, use_cache=False).last_hidden_state
        chosen = hidden.flatten(0, 1).index_select(0, places).to(head.weight.dtype)
        total: torch.Tensor = _LinearCrossEntropy.apply(chosen, head.weight, head.bias, targets)
        return total


def computing_in(precision: torch.dtype | None, device: torch.device) -> AbstractContextManager[object]:
    """Returns a context in which layers compute in `precision`, as torch's automatic mixed precision has it."""
    return contextlib.nullcontext() if precision is None else torch.autocast(device.type, precision)


def summed_loss(model: "PreTrainedModel", batch: Mapping[str, Any], computed: torch.dtype | None = None) -> SummedLoss:
    """Returns the loss of a model, by the short way if that gives what the model's own forward gives.

    Soft-capped or scaled logits, an adapter on the head, and losses of other kinds (of a mixture of experts) make a
    difference; so the two ways are compared on one batch instead of guessing by the architecture.

    Args:
        model: The model.
        batch: A small batch; the arguments of `SummedLoss.forward`.
        computed: As `SummedLoss` takes it; the comparison is made without.
    """
    short, own = SummedLoss(model), SummedLoss(model, own=True)
    chosen = own
    if not (short.own or getattr(model.config.get_text_config(), "output_router_logits", False)):
        chosen = _agreeing(short, own, batch)
    chosen.computed = computed
    return chosen


def _agreeing(short: SummedLoss, own: SummedLoss, batch: Mapping[str, Any]) -> SummedLoss:
    """Returns the short way to the loss if it gives what the model's own does."""
    model = own.model
    was_training = model.training
    model.eval()
    with torch.no_grad():
        theirs = float(own(**batch)["loss"])
        try:
            ours = float(short(**batch)["loss"])
        except (TypeError, AttributeError):
            # A decoder of other conventions, as the code of a repository may have.
            ours = math.inf
    model.train(was_training)
    agree = abs(ours - theirs) <= _AGREE.get(model.dtype, 1e-4) * max(abs(theirs), 1e-6)
    # If both are no numbers, training will say so.
    return short if agree or theirs != theirs else own


def places_and_targets(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns from which position of a flattened batch each labeled token is predicted, and the tokens.

    Args:
        labels: Shape (sequences, length), on the CPU: finding them on an accelerator would wait for it in each step.
    """
    sequence, place = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    return sequence * labels.shape[1] + place, labels[sequence, place + 1]


def _base_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """Returns the model without the adapter around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _decoder_and_head(model: "PreTrainedModel") -> tuple[torch.nn.Module, torch.nn.Linear] | None:
    base = _base_of(model)
    head = base.get_output_embeddings()
    decoder = getattr(base, base.base_model_prefix, None)
    # A head with an adapter is no plain linear layer.
    return (decoder, head) if type(head) is torch.nn.Linear and isinstance(decoder, torch.nn.Module) else None


def _logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Returns the logits, of shape (positions, vocabulary)."""
    if hidden.device.type != "cpu":
        return torch.nn.functional.linear(hidden, weight, bias)
    # Few positions times many tokens: the product the other way round was seen to take two thirds of the time.
    logits = (weight @ hidden.t()).t()
    return logits if bias is None else logits.add_(bias)


class _LinearCrossEntropy(torch.autograd.Function):
    """Summed cross entropy of a linear layer's outputs, piece by piece; each piece's gradient is made at once.

    torch's own `linear_cross_entropy` does the same, but rounds the loss to the layer's format, which in bf16 leaves
    two digits, and its piecewise way was seen to take ten times as long on the CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
    ) -> torch.Tensor:
        for_hidden, for_weight, for_bias = ctx.needs_input_grad[:3]
        total = torch.zeros((), device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if for_hidden else None
        grad_weight = torch.zeros_like(weight) if for_weight else None
        grad_bias = torch.zeros_like(weight[:, 0]) if for_bias else None
        lift = _LIFTS.get(hidden.dtype, 1.0)
        rows = max(1, _LOGITS.get(hidden.device.type, 2**24) // weight.shape[0])
        for start in range(0, len(targets), rows):
            piece, aims = hidden[start : start + rows], targets[start : start + rows]
            logits = _logits(piece, weight, bias).float()
            logits -= logits.amax(dim=1, keepdim=True)
            total -= logits.gather(1, aims[:, None]).sum()
            sums = logits.exp_().sum(dim=1, keepdim=True)
            total += sums.log().sum()
            if not any(ctx.needs_input_grad[:3]):
                continue
            errors = logits.div_(sums)
            errors[torch.arange(len(aims), device=aims.device), aims] -= 1
            errors = (errors if lift == 1 else errors.mul_(lift)).to(weight.dtype)
            if grad_hidden is not None:
                torch.mm(errors, weight, out=grad_hidden[start : start + rows])
            if grad_weight is not None:
                grad_weight.addmm_(errors.t(), piece)
            if grad_bias is not None:
                grad_bias += errors.sum(dim=0)
        ctx.grads, ctx.lift = (grad_hidden, grad_weight, grad_bias), lift
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # A scale by a GradScaler is no number of fp16.
        grads = tuple(
            None
            if grad is None
            else (grad.float() * (scale / ctx.lift)).to(grad.dtype)
            if ctx.lift != 1
            else grad * scale.to(grad.dtype)
            for grad in ctx.grads
        )
        return (*grads, None)


@dataclass(frozen=True)
class ClassBatcher:
    """Makes batches of rows to classify; a collator for torch's DataLoader.

    Attributes:
        pad_id: The token to fill up with.
        several: The number of classes if a row may be of several; None if it is of one.
        packed: Whether rows share sequences, which they never do: the head reads one place of a sequence.
        by_rows: Whether the model attends to the rows of a sequence one by one; never, then.
    """

    pad_id: int
    several: int | None
    packed: bool = False
    by_rows: bool = False

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Returns one batch of all the examples: the arguments of `ClassLoss.forward`.

        Examples that carry no loss come alone, as a batch without targets.
        """
        if IGNORED in examples[0].labels:
            batch = collate_classes([replace(each, labels=[]) for each in examples], self.pad_id, self.several)
            batch["labels"].fill_(IGNORED)
            return {**batch, "targets": batch["labels"].flatten()[:0]}
        batch = collate_classes(examples, self.pad_id, self.several)
        # What is counted to take a mean over.
        batch["targets"] = batch["labels"].flatten()
        return batch


class ClassLoss(torch.nn.Module):
    """The summed loss of a batch's labels, in nats, over the number of labels of the whole step.

    A row of one class has one label, and its loss is cross entropy; a row that may be of several has a label for each
    class, and its loss is the binary cross entropy of each.

    Args:
        model: The classifier, with its adapter if it has one.
        computed: As `SummedLoss` takes it.
    """

    # Tells the Trainer to count the labels of a step and hand them to the forward.
    accepts_loss_kwargs = True

    def __init__(self, model: "PreTrainedModel", *, computed: torch.dtype | None = None) -> None:
        super().__init__()
        self.model, self.config, self.computed = model, model.config, computed
        # What FSDP splits by.
        self._no_split_modules = getattr(_base_of(model), "_no_split_modules", None)

    def forward(
        self,
        labels: torch.Tensor,
        targets: torch.Tensor,
        num_items_in_batch: torch.Tensor | int = 1,
        **inputs: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Returns `loss`, a scalar in fp32, and the `logits`, of shape (rows, classes) and without a gradient.

        Args:
            labels: Ids of shape (rows,), or zeros and ones of shape (rows, classes).
            targets: The same, flat.
            num_items_in_batch: What to divide the sum by: the labels of all micro-batches of the step.
            **inputs: What the model takes, each of shape (rows, longest row).
        """
        with computing_in(self.computed, labels.device):
            logits = self.model(**inputs).logits.float()
        if not len(targets):
            return {"loss": logits.sum() * 0, "logits": logits.detach()}
        entropy = torch.nn.functional.cross_entropy
        if labels.is_floating_point():
            entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return {"loss": entropy(logits, labels, reduction="sum") / num_items_in_batch, "logits": logits.detach()}


def class_scores(labels: torch.Tensor, logits: torch.Tensor) -> dict[str, float]:
    """Returns `accuracy` and `macro_f1` by scikit-learn, as the evaluation has them.

    Args:
        labels: Ids of shape (rows,), or zeros and ones of shape (rows, classes).
        logits: Shape (rows, classes). A row is given the most likely class, or of several those above one half.
    """
    from sklearn.metrics import accuracy_score, f1_score

    given = (logits > 0).int() if labels.dim() > 1 else logits.argmax(dim=1)
    pairs = labels.int().numpy(), given.numpy()
    return {
        "accuracy": float(accuracy_score(*pairs)),
        "macro_f1": float(f1_score(*pairs, average="macro", zero_division=0)),
    }
