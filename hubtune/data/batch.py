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
