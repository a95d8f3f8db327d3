"""What training a classifier needs in place of what training on text does: batches of labelled rows, and their loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hubtune.data.batch import collate_classes
from hubtune.data.tokens import Example
from hubtune.train.loss import computing_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class ClassBatcher:
    """Makes batches of rows to classify; a collator for torch's DataLoader.

    Attributes:
        pad_id: The token to fill up with.
        several: The number of classes where a row may be of several; None where it is of one.
        packed: Whether rows share sequences, which they never do: the head reads one place of a sequence.
        by_rows: Whether the model attends to the rows of a sequence one by one; never, then.
    """

    pad_id: int
    several: int | None
    packed: bool = False
    by_rows: bool = False

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Returns one batch of all the examples: the arguments of `ClassLoss.forward`."""
        batch = collate_classes(examples, self.pad_id, self.several)
        # What is counted to take a mean over.
        batch["targets"] = batch["labels"].flatten()
        return batch


class ClassLoss(torch.nn.Module):  # type: ignore[misc]
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

    def forward(
        self,
        labels: torch.Tensor,
        targets: torch.Tensor,  # noqa: ARG002 - what callers count
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
        entropy = torch.nn.functional.cross_entropy
        if labels.is_floating_point():
            entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return {"loss": entropy(logits, labels, reduction="sum") / num_items_in_batch, "logits": logits.detach()}


def class_scores(labels: torch.Tensor, logits: torch.Tensor) -> dict[str, float]:
    """Returns `accuracy` and `macro_f1` by scikit-learn, as the evaluation has them.

    Args:
        labels: Ids of shape (rows,), or zeros and ones of shape (rows, classes).
        logits: Shape (rows, classes). A row is given the likeliest class, or of several those above one half.
    """
    from sklearn.metrics import accuracy_score, f1_score

    given = (logits > 0).int() if labels.dim() > 1 else logits.argmax(dim=1)
    pairs = labels.int().numpy(), given.numpy()
    return {
        "accuracy": float(accuracy_score(*pairs)),
        "macro_f1": float(f1_score(*pairs, average="macro", zero_division=0)),
    }
