"""Makes the batches of a run: rows packed into sequences where the model keeps them apart, else padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.data.batch import collate
from hubtune.data.packing import collate_packs, even_packs
from hubtune.data.tokens import IGNORED, Example
from hubtune.train.loss import places_and_targets

if TYPE_CHECKING:
    import torch

# On the CPU attention computes what the mask then hides, so that long sequences of short rows waste work.
_CPU_LENGTH = 256


@dataclass(frozen=True)
class Batch:
    """A batch for `SummedLoss`.

    Attributes:
        inputs: What the model takes, each of shape (sequences, length).
        labels: The ids where they carry loss, shape (sequences, length).
        places: From which position of the flattened batch each labelled token is predicted, shape (labels,).
        targets: The labelled tokens, shape (labels,).
    """

    inputs: "dict[str, torch.Tensor]"
    labels: "torch.Tensor"
    places: "torch.Tensor"
    targets: "torch.Tensor"

    @property
    def arguments(self) -> "dict[str, object]":
        """The arguments of `SummedLoss.forward`."""
        return {"inputs": self.inputs, "labels": self.labels, "places": self.places, "targets": self.targets}


@dataclass(frozen=True)
class Batcher:
    """Makes batches of examples.

    Attributes:
        pad_id: The token to fill up with.
        packed: Whether rows share sequences.
        length: About how many tokens such a sequence has; it is never shorter than its longest row.
        device: Where the batches are put.
    """

    pad_id: int
    packed: bool
    length: int
    device: "torch.device"

    @classmethod
    def of(cls, pad_id: int, packed: bool, max_length: int, device: "torch.device") -> "Batcher":
        """Returns one with the sequence length that suits the device."""
        length = min(max_length, _CPU_LENGTH) if device.type == "cpu" else max_length
        return cls(pad_id, packed, length, device)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Returns one batch of all the examples."""
        if self.packed:
            packs = even_packs([len(example.input_ids) for example in examples], self.length)
            inputs = collate_packs([[examples[row] for row in pack] for pack in packs], self.pad_id)
        else:
            inputs = collate(examples, self.pad_id)
        labels = inputs.pop("labels")
        # Nothing stands before a row's first token that it could be told from.
        labels[:, 0] = IGNORED
        places, targets = places_and_targets(labels)
        return Batch(
            {name: self._placed(values) for name, values in inputs.items()},
            *(self._placed(values) for values in (labels, places, targets)),
        )

    def _placed(self, values: "torch.Tensor") -> "torch.Tensor":
        return values if self.device.type == "cpu" else values.pin_memory().to(self.device, non_blocking=True)
