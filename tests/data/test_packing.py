"""Rows share sequences without padding: each whole, each once, and none learning to follow another."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.batch import best_fit, collate_packs, even_packs
from hubtune.data.tokenization import IGNORED, Example
from tests.architectures import VOCABULARY, make_model

CAPACITY = 32
LENGTHS = st.lists(st.integers(1, CAPACITY), min_size=1, max_size=60)


def _example(*ids: int, prompt: int = 0) -> Example:
    return Example("", list(ids), [IGNORED] * prompt + list(ids[prompt:]), truncated=False)


def _rows(*lengths: int) -> list[Example]:
    generator = torch.Generator().manual_seed(4)
    return [_example(*torch.randint(1, VOCABULARY, (length,), generator=generator).tolist()) for length in lengths]


@given(LENGTHS)
def test_each_row_is_packed_once_and_no_sequence_is_over_full(lengths: list[int]):
    packs = best_fit(lengths, CAPACITY)

    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in pack) <= CAPACITY for pack in packs)


@given(st.lists(st.lists(st.integers(1, CAPACITY - 1), max_size=6), min_size=1, max_size=30))
def test_best_fit_needs_at_most_11_9_of_the_fewest_sequences_and_one_more(cuts: list[list[int]]):
    """Full sequences that were cut into rows: as many as they were are the fewest."""
    lengths = []
    for places in cuts:
        edges = [0, *sorted(set(places)), CAPACITY]
        lengths += [end - start for start, end in itertools.pairwise(edges)]

    assert len(best_fit(lengths, CAPACITY)) <= 11 / 9 * len(cuts) + 1


@given(LENGTHS, st.integers(8, 64))
def test_even_packs_hold_each_row_once_within_the_target_or_the_longest_row(lengths: list[int], target: int):
    packs = even_packs(lengths, target)

    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in pack) <= max(target, *lengths) for pack in packs)


def test_even_packs_fill_sequences_alike():
    # In sequences of 100 this would be one of 96 and one of 36.
    assert sorted(sorted(pack) for pack in even_packs([33, 33, 33, 33], 100)) == [[0, 1], [2, 3]]


def test_a_row_that_is_longer_than_a_sequence_is_refused():
    with pytest.raises(ValueError, match="9 tokens"):
        best_fit([3, 9], 8)


def test_packed_rows_count_positions_from_0_and_no_row_is_learnt_to_follow_another():
    batch = collate_packs([[_example(5, 6, 7), _example(8, 9, prompt=1)], [_example(1, 2)]], pad_id=0)

    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9], [1, 2, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9], [-100, 2, -100, -100, -100]]
    assert "attention_mask" not in batch


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "qwen3", "neox", "mistral", "gemma2"])
def test_a_packed_row_gets_the_logits_that_it_gets_alone(kind: str):
    model = make_model(kind)
    rows = _rows(6, 3, 9, 1, 5)
    batch = collate_packs([rows[:3], rows[3:]], pad_id=0)

    with torch.no_grad():
        packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
        alone = [model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0] for row in rows]

    torch.testing.assert_close(packed[0, :18], torch.cat(alone[:3]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(packed[1, :6], torch.cat(alone[3:]), rtol=1e-4, atol=1e-5)
