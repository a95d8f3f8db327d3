"""The held-out rows are drawn by content: duplicates stay together and rows added later move nobody."""

import numpy as np
import pytest

from hubtune.data import split
from hubtune.data.split import draw, fold


def held_out_mask(texts: list[str], share: float, seed: int) -> list[bool]:
    draws = np.array([draw(fold(text), seed) for text in texts], dtype=np.int64)
    return split.held_out_mask(draws, share).tolist()


TEXTS = [f"Saying number {number} of many" for number in range(2000)]


def test_the_share_of_held_out_rows_is_near_the_one_asked_for():
    # Four standard deviations of a binomial share.
    assert sum(held_out_mask(TEXTS, 0.1, 42)) / len(TEXTS) == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 2000) ** 0.5)


@pytest.mark.parametrize(
    "duplicate",
    [
        "SAYING NUMBER 7 OF MANY!",
        "Saying, number 7 -- of many",
        "  saying\nnumber\t7 of   many ",
        "\N{FULLWIDTH LATIN CAPITAL LETTER S}aying number 7 of many",
    ],
    ids=["case", "punctuation", "spacing", "full width"],
)
def test_a_near_duplicate_falls_on_the_side_of_its_twin(duplicate: str):
    for seed in range(50):
        first, second, _ = held_out_mask([TEXTS[7], duplicate, TEXTS[8]], 0.5, seed)
        assert first == second


def test_no_held_out_text_is_trained_on_in_another_spelling():
    texts = [spelling for text in TEXTS[:300] for spelling in (text, text.upper(), f"“{text}”")]

    mask = held_out_mask(texts, 0.3, 1)

    held = {fold(text) for text, out in zip(texts, mask, strict=True) if out}
    trained = {fold(text) for text, out in zip(texts, mask, strict=True) if not out}
    assert held
    assert not held & trained


def test_rows_added_later_move_no_other_row():
    before = held_out_mask(TEXTS[:1500], 0.1, 42)

    after = held_out_mask([*reversed(TEXTS[1500:]), *TEXTS[:1500]], 0.1, 42)[500:]

    assert after == before


def test_the_seed_draws_other_rows():
    assert held_out_mask(TEXTS, 0.1, 1) != held_out_mask(TEXTS, 0.1, 2)


def test_the_same_seed_draws_the_same_rows():
    assert held_out_mask(TEXTS, 0.1, 1) == held_out_mask(list(TEXTS), 0.1, 1)


@pytest.mark.parametrize("share", [1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_a_tiny_data_set_has_a_row_on_each_side(share: float, rows: int):
    for seed in range(20):
        assert set(held_out_mask(TEXTS[:rows], share, seed)) == {True, False}


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "One!", "ONE"]])
def test_without_two_distinct_texts_none_is_held_out(texts: list[str]):
    assert not any(held_out_mask(texts, 0.5, 42))


@pytest.mark.parametrize(
    ("one", "other"), [("👍", "👎"), ("∀ → ∃", "∃ → ∀"), ("कि", "का")], ids=["emoji", "symbols", "vowel signs"]
)
def test_texts_that_differ_in_more_than_case_punctuation_and_spacing_are_told_apart(one: str, other: str):
    assert any(held_out_mask([one, other], 0.5, 42))
