"""The rows of a step follow from the seed and the step alone."""

import pytest

from hubtune.train.batching import RowOrder, steps_of


@pytest.mark.parametrize("lengths", [None, [row % 7 + 1 for row in range(23)]])
def test_each_epoch_takes_each_row_once_in_an_order_of_its_own(lengths):
    order = RowOrder(23, 4, steps_of(2, 23, 4), seed=1, lengths=lengths)

    epochs = [[row for step in range(first, first + 6) for row in order.of(step)] for first in (0, 6)]

    assert order.steps == 12
    assert [sorted(epoch) for epoch in epochs] == [list(range(23))] * 2
    assert epochs[0] != epochs[1]
    assert [len(order.of(step)) for step in range(6)] == [4, 4, 4, 4, 4, 3]


def test_a_step_s_rows_are_known_without_the_steps_before():
    order = RowOrder(23, 4, 18, seed=1)
    there_and_back = [order.of(step) for step in (13, 2, 17, 13)]

    assert there_and_back[0] == there_and_back[3] == RowOrder(23, 4, 18, seed=1).of(13)
    assert there_and_back[0] != RowOrder(23, 4, 18, seed=2).of(13)


@pytest.mark.parametrize(
    ("rows", "per_step", "epochs", "steps"), [(8, 3, 2, 6), (8, 2, 0.5, 2), (10, 1, 0.3, 3), (3, 8, 0.1, 1)]
)
def test_parts_of_an_epoch_are_steps_of_its_rows(rows: int, per_step: int, epochs: float, steps: int):
    assert steps_of(epochs, rows, per_step) == steps


def test_a_number_of_steps_goes_through_as_many_epochs_as_it_takes():
    order = RowOrder(8, 3, 7, seed=1)

    assert (order.steps, order.epochs(7), order.epochs(6), order.epochs(3)) == (7, 2.375, 2, 1)
    assert [order.of(step) for step in range(7)] == [RowOrder(8, 3, 9, seed=1).of(step) for step in range(7)]
    assert order.count(lambda row: 1, 7) == 2 * 8 + 3


def test_rows_of_like_length_share_a_step():
    lengths = [1 + row * 37 % 100 for row in range(400)]
    order = RowOrder(400, 8, 50, seed=3, lengths=lengths)

    spreads = [max(found) - min(found) for found in ([lengths[row] for row in order.of(step)] for step in range(50))]

    assert sum(spreads) / len(spreads) < 5
