"""Puts examples together into a batch, padded to its longest row and masked by position."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubtune.data.tokens import IGNORED, Example

if TYPE_CHECKING:
    import torch


def collate(examples: Sequence[Example], pad_id: int) -> "dict[str, torch.Tensor]":
    """Returns `input_ids`, `attention_mask` and `labels`, each of shape (rows, longest row), padded on the right.

    Padding is masked by its position, never by its token: where the padding token is the EOS token, as in many models,
    a row's own EOS still carries loss.
    """
    import torch

    longest = max(len(example.input_ids) for example in examples)
    rows, masks, labels = [], [], []
    for example in examples:
        padding = longest - len(example.input_ids)
        rows.append([*example.input_ids, *[pad_id] * padding])
        masks.append([1] * len(example.input_ids) + [0] * padding)
        labels.append([*example.labels, *[IGNORED] * padding])
    return {
        "input_ids": torch.tensor(rows, dtype=torch.long),
        "attention_mask": torch.tensor(masks, dtype=torch.long),
        "labels": torch.tensor(labels, dtype=torch.long),
    }


def collate_classes(examples: Sequence[Example], pad_id: int, several: int | None) -> "dict[str, torch.Tensor]":
    """Returns a batch of rows to classify, padded on the right to its longest row.

    Args:
        examples: Rows whose labels are the ids of their classes.
        pad_id: The token to fill up with.
        several: The number of classes where a row may be of several; None where it is of one, or labels do not matter.

    Returns:
        `input_ids` and `attention_mask` (and `token_type_ids`, where rows have them), of shape (rows, longest row); and
        `labels`: ids of shape (rows,), or zeros and ones of shape (rows, classes).
    """
    import torch

    rows = [torch.tensor(example.input_ids) for example in examples]
    pad = torch.nn.utils.rnn.pad_sequence
    batch = {
        "input_ids": pad(rows, batch_first=True, padding_value=pad_id),
        "attention_mask": pad([torch.ones_like(row) for row in rows], batch_first=True),
    }
    if examples[0].token_type_ids is not None:
        batch["token_type_ids"] = pad([torch.tensor(row.token_type_ids) for row in examples], batch_first=True)
    if several is None:
        batch["labels"] = torch.tensor([example.labels[0] if example.labels else 0 for example in examples])
    else:
        batch["labels"] = torch.zeros(len(examples), several)
        for number, example in enumerate(examples):
            batch["labels"][number, example.labels] = 1
    return batch
