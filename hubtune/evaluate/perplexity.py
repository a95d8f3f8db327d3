"""What a model gives each row: its negative log-likelihood and how many of its tokens were the likeliest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hubtune.data.batch import collate
from hubtune.data.tokens import IGNORED, Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Likelihoods:
    """What a model gives the rows.

    Attributes:
        nll: Negative log-likelihood of each row, in nats, shape (rows,).
        tokens: Predicted tokens of each row, shape (rows,). The first token of a row is not predicted.
        correct: How many of them were the likeliest, shape (rows,).
    """

    nll: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    correct: npt.NDArray[np.int64]

    @property
    def perplexity(self) -> float:
        """The perplexity over all rows; each token counts the same."""
        return float(np.exp(self.nll.sum() / self.tokens.sum()))


def likelihoods(
    model: "PreTrainedModel",
    examples: Sequence[Example],
    padding: int,
    batch_size: int,
    on_batch: Callable[[], None] = lambda: None,
) -> Likelihoods:
    """Measures each row, with the log-softmax in fp32 whatever the model's precision; padding never counts.

    Logits are reduced batch by batch, so memory does not grow with the number of rows. Rows of like length go together,
    which saves padding and changes no value.
    """
    import torch

    nll = np.zeros(len(examples))
    tokens, correct = np.zeros(len(examples), dtype=np.int64), np.zeros(len(examples), dtype=np.int64)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].input_ids))
    model.eval()
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = {
            name: values.to(model.device) for name, values in collate([examples[row] for row in rows], padding).items()
        }
        counted = batch["labels"][:, 1:] != IGNORED
        targets = batch["labels"][:, 1:][counted]
        with torch.inference_mode():
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            # Only what counts is taken to fp32, which is as much work as a layer of a small model.
            logits = logits[:, :-1][counted]
            losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        owners = np.asarray(rows)[counted.nonzero()[:, 0].cpu().numpy()]
        np.add.at(nll, owners, losses.double().cpu().numpy())
        np.add.at(tokens, owners, 1)
        np.add.at(correct, owners, (logits.argmax(dim=-1) == targets).cpu().numpy())
        on_batch()
    return Likelihoods(nll=nll, tokens=tokens, correct=correct)
