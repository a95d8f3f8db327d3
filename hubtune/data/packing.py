"""Puts the rows of a batch one after another into few sequences, so that a batch is all tokens and hardly any padding.

Best fit decreasing (Johnson, 1974): the longest rows first, each into the sequence that it fills up best, which takes
at most 11/9 of the fewest sequences possible, and one more. Rows are never split. Each keeps its own positions, counted
from 0, by which attention stays within it.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from hubtune.data.tokens import IGNORED, Example

if TYPE_CHECKING:
    import torch


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
    """Returns rows packed into sequences of at most `target` tokens, or of the longest row's where that is more.

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

    Positions begin anew at each row, which is what tells the model's attention where a row begins: transformers keeps
    attention within runs of counting positions where it gets no mask and no cache. Padding is a run of its own. A
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
