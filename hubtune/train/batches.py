"""Makes the batches of a run: rows packed into sequences where the model keeps them apart, else padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.data.batch import collate
from hubtune.data.packing import collate_packs, cumulative_lengths, even_packs
from hubtune.data.tokens import IGNORED, Example
from hubtune.train.loss import places_and_targets

if TYPE_CHECKING:
    import torch

# On the CPU attention computes what the mask then hides, so that long sequences of short rows waste work.
_CPU_LENGTH = 256


@dataclass(frozen=True)
class Batcher:
    """Makes batches of examples; a collator for torch's DataLoader.

    Attributes:
        pad_id: The token to fill up with.
        packed: Whether rows share sequences.
        length: The most tokens of such a sequence, unless its longest row has more.
        by_rows: Whether the model attends to packed rows one by one, so that all rows of a batch share one sequence.
    """

    pad_id: int
    packed: bool
    length: int
    by_rows: bool = False

    @classmethod
    def of(cls, pad_id: int, packed: bool, max_length: int, device: "torch.device", *, by_rows: bool) -> "Batcher":
        """Returns one with the sequence length that suits the device."""
        length = min(max_length, _CPU_LENGTH) if device.type == "cpu" else max_length
        return cls(pad_id, packed, length, by_rows)

    def __call__(self, examples: Sequence[Example]) -> "dict[str, torch.Tensor]":
        """Returns one batch of all the examples: the arguments of `SummedLoss.forward`."""
        if self.by_rows:
            batch = collate_packs([examples], self.pad_id)
            batch["cu_seq_lens_q"] = cumulative_lengths(examples)
        elif self.packed:
            packs = even_packs([len(example.input_ids) for example in examples], self.length)
            batch = collate_packs([[examples[row] for row in pack] for pack in packs], self.pad_id)
        else:
            batch = collate(examples, self.pad_id)
        # Nothing stands before a row's first token that it could be told from.
        batch["labels"][:, 0] = IGNORED
        batch["places"], batch["targets"] = places_and_targets(batch["labels"])
        return batch
