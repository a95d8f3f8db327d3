"""Which rows each optimizer step takes: a function of the seed and the step, so that a run can go on at any step."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

# Rows of like length are looked for among those of this many steps.
_WINDOW = 50


class RowOrder:
    """The rows of each step; every epoch takes each row once, in an order of its own.

    Args:
        rows: How many there are.
        per_step: How many an optimizer step takes; the last step of an epoch takes what is left.
        epochs: How often each row is taken; of a part of an epoch, the rows that come first. None with `steps`.
        seed: Decides the orders.
        lengths: Tokens of each row, where rows of like length are to go together, which saves padding. Without, rows
            are drawn evenly.
        steps: How many there are, in place of `epochs`.
    """

    def __init__(
        self,
        rows: int,
        per_step: int,
        epochs: float | None,
        seed: int,
        lengths: Sequence[int] | None = None,
        steps: int | None = None,
    ) -> None:
        self.rows, self._per_step, self._seed = rows, per_step, seed
        self._lengths = None if lengths is None else np.asarray(lengths)
        self.per_epoch = math.ceil(rows / per_step)
        if epochs is None:
            assert steps is not None, "one of them says how long to train"
            self.steps = steps
            return
        whole, part = int(epochs), epochs - int(epochs)
        # The product may lie a rounding error above a whole number.
        self.steps = max(1, whole * self.per_epoch + math.ceil(round(part * rows / per_step, 9)))

    def of(self, step: int) -> list[int]:
        """Returns the numbers of the rows of a step, counted from 0."""
        epoch, place = divmod(step, self.per_epoch)
        order = self._epoch(epoch)
        return [int(row) for row in order[place * self._per_step : (place + 1) * self._per_step]]

    def epochs(self, steps: int) -> float:
        """Returns how often each row is taken in the first `steps` steps; a fraction where some are taken once less."""
        epochs, part = divmod(steps, self.per_epoch)
        return epochs + part * self._per_step / self.rows

    def count(self, of_row: Callable[[int], int], steps: int) -> int:
        """Returns the sum of what each row counts for in the first `steps` steps, as often as it is taken in them."""
        epochs, part = divmod(steps, self.per_epoch)
        total = epochs * sum(of_row(row) for row in range(self.rows)) if epochs else 0
        return total + sum(of_row(row) for step in range(steps - part, steps) for row in self.of(step))

    @functools.lru_cache(maxsize=1)  # noqa: B019 - an order lives as long as its run
    def _epoch(self, epoch: int) -> npt.NDArray[np.int64]:
        generator = np.random.default_rng([self._seed, epoch])
        order = generator.permutation(self.rows)
        if self._lengths is None:
            return order
        window = _WINDOW * self._per_step
        for start in range(0, self.rows, window):
            rows = order[start : start + window]
            order[start : start + window] = rows[np.argsort(-self._lengths[rows], kind="stable")]
        # The last step of an epoch stays the last: it alone may be smaller.
        full = self.rows // self._per_step * self._per_step
        steps = order[:full].reshape(-1, self._per_step)
        return np.concatenate([steps[generator.permutation(len(steps))].ravel(), order[full:]])


class MicroBatches:
    """The rows of each micro-batch of an epoch: a batch sampler for torch's DataLoader.

    Each time that it is gone through it is at the next epoch.

    Args:
        order: The rows of each step.
        size: Rows of a micro-batch.
        epoch: The epoch to begin with.
    """

    def __init__(self, order: RowOrder, size: int, epoch: int = 0) -> None:
        self._order, self.batch_size, self._epoch = order, size, epoch
        self.drop_last = False

    def __len__(self) -> int:
        return math.ceil(self._order.rows / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        first = self._epoch * self._order.per_epoch
        self._epoch += 1
        for step in range(first, first + self._order.per_epoch):
            rows = self._order.of(step)
            for start in range(0, len(rows), self.batch_size):
                yield rows[start : start + self.batch_size]
