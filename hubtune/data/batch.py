"""Combines examples into tensors: rows padded to the longest row of a batch, or several rows packed into one sequence.

Padding is masked by position, never by a token's value. Packs are chosen to contain little padding (`best_fit`), or to
give a requested number of packs that take about the same time (`even_packs`).
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from hubtune.data.tokenization import IGNORED, Example

if TYPE_CHECKING:
    import torch


def collate(examples: Sequence[Example], pad_id: int) -> "dict[str, torch.Tensor]":
    """Returns `input_ids`, `attention_mask` and `labels`, each of shape (rows, longest row), padded on the right.

    Padding is masked by its position, never by its token: if the padding token is the EOS token, as in many models,
    a row's own EOS is still a target.
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
        several: The number of classes if a row may be of several; None if it is of one, or labels do not matter.

    Returns:
        `input_ids` and `attention_mask` (and `token_type_ids`, if rows have them), of shape (rows, longest row); and
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


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Returns which rows go into which sequence: a list of row numbers for each.

    Takes time and memory in proportion to the number of rows, whatever the number of sequences.

    Args:
        lengths: Tokens of each row, none above `capacity`.
        capacity: Tokens of a sequence.

    Raises:
        ValueError: A row is longer than a sequence.
    """
    if max(lengths, default=0) > capacity:
        raise ValueError(f"a row of {max(lengths)} tokens does not fit into sequences of {capacity}")
    packs: list[list[int]] = []
    # The sequences by the room that is left in them, and one bit for each room that some sequence has.
    open_by_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        fitting = rooms >> lengths[row]
        if fitting:
            room = lengths[row] + (fitting & -fitting).bit_length() - 1
            pack = open_by_room[room].pop()
            if not open_by_room[room]:
                rooms &= ~(1 << room)
        else:
            room, pack = capacity, len(packs)
            packs.append([])
        packs[pack].append(row)
        left = room - lengths[row]
        if left:
            open_by_room[left].append(pack)
            rooms |= 1 << left
    return packs


def even_packs(lengths: Sequence[int], target: int) -> list[list[int]]:
    """Returns rows packed into sequences of at most `target` tokens, or of the longest row's if that is more.

    Of a few capacities, from an even share of all tokens up to that limit, the one that leaves the least padding is
    taken: a batch is as long as its longest sequence, so full sequences beside one that is nearly empty are a waste.
    """
    longest, total = max(lengths), sum(lengths)
    limit = max(longest, target)
    fewest = -(-total // limit)
    even = max(longest, -(-total // fewest))
    # A few capacities suffice: what is saved by more is less than the padding of one row.
    tried = sorted({even, even + (limit - even) // 8, even + (limit - even) // 3, limit})
    return min((best_fit(lengths, capacity) for capacity in tried), key=lambda packs: _area(packs, lengths))


def collate_packs(packs: Sequence[Sequence[Example]], pad_id: int) -> "dict[str, torch.Tensor]":
    """Returns `input_ids`, `position_ids` and `labels`, each of shape (sequences, longest), and no attention mask.

    Positions start again at each row, which is what tells the model's attention where a row begins: transformers keeps
    attention within runs of counting positions if it gets no mask and no cache. Padding is a run of its own. A
    row's first token carries no label, so no row learns to be followed by another.

    Args:
        packs: The rows of each sequence.
        pad_id: The token to fill up with; it carries no loss.
    """
    import torch

    length = max(sum(len(example.input_ids) for example in pack) for pack in packs)
    ids, labels, positions = [], [], []
    for pack in packs:
        padding = length - sum(len(example.input_ids) for example in pack)
        ids.append([token for example in pack for token in example.input_ids] + [pad_id] * padding)
        labels.append(
            [label for example in pack for label in (IGNORED, *example.labels[1:])] + [IGNORED] * padding,
        )
        counts = (*(len(example.input_ids) for example in pack), padding)
        positions.append([position for count in counts for position in range(count)])
    return {
        "input_ids": torch.tensor(ids, dtype=torch.long),
        "position_ids": torch.tensor(positions, dtype=torch.long),
        "labels": torch.tensor(labels, dtype=torch.long),
    }


def cumulative_lengths(rows: Sequence[Example]) -> "torch.Tensor":
    """Returns where each row of a sequence begins, and where the last ends: shape (rows + 1,), int32."""
    import torch

    return torch.tensor([0, *accumulate(len(row.input_ids) for row in rows)], dtype=torch.int32)


def _area(packs: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    return len(packs) * max(sum(lengths[row] for row in pack) for pack in packs)
