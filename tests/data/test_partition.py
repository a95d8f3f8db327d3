"""Rows of several datasets are drawn by weight, the same for a seed."""

import pytest

from hubtune.data import partition


def interleave(sizes: list[int], weights: list[float], stop: str, seed: int) -> list[tuple[int, int]]:
    return list(zip(*partition.interleave(sizes, weights, stop, seed), strict=True))


def test_a_data_set_is_drawn_from_in_the_share_of_its_weight():
    drawn = interleave([10_000, 10_000], [3, 1], "first_exhausted", 1)

    # Four standard deviations of a binomial share.
    share = sum(source == 0 for source, _ in drawn) / len(drawn)
    assert share == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / len(drawn)) ** 0.5)


@pytest.mark.parametrize("seed", range(10))
def test_it_ends_with_the_first_data_set_and_no_row_comes_twice(seed: int):
    drawn = interleave([5, 50], [1, 1], "first_exhausted", seed)

    assert len(set(drawn)) == len(drawn)
    assert [row for source, row in drawn if source == 0] == list(range(5))
    taken = [row for source, row in drawn if source == 1]
    assert taken == list(range(len(taken)))


@pytest.mark.parametrize("seed", range(10))
def test_it_ends_when_each_was_used_up_and_shorter_ones_begin_anew(seed: int):
    drawn = interleave([5, 50, 0], [1, 1, 9], "all_exhausted", seed)

    assert set(drawn) == {*((0, row) for row in range(5)), *((1, row) for row in range(50))}
    assert len(drawn) > 55
    assert [row for source, row in drawn if source == 0][:7] == [0, 1, 2, 3, 4, 0, 1]


def test_a_seed_draws_the_same_order_and_another_another():
    first, again, other = (interleave([50, 50], [1, 1], "first_exhausted", seed) for seed in (1, 1, 2))

    assert first == again != other


def test_nothing_gives_nothing():
    assert interleave([0, 0], [1, 1], "all_exhausted", 1) == []
