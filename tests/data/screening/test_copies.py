"""Rows that repeat others are found whatever their order, and the first of them is the one that stays."""

import random
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.screening import duplicates
from hubtune.data.screening.duplicates import BOILERPLATE
from hubtune.data.screening.sketches import candidates, trace
from hubtune.data.split import fold


class InMemory:
    """The traces of texts."""

    def __init__(self, texts: list[str]) -> None:
        self._found = trace([fold(text) for text in texts])

    def digests(self):
        return np.array(self._found.digest, dtype="S16")

    def sketches(self, places):
        return self._found.sketch[places]

    def runs(self):
        keys = [np.array(own, dtype=np.uint64) for own in self._found.runs]
        for place, own in enumerate(keys):
            yield np.full(len(own), place), own


class Side(duplicates.SplitSide):
    """The rows of one side, by their texts."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(InMemory(texts))

    def repeated(self) -> tuple[list[int], list[int]]:
        found = self.copies()
        return found.duplicates.tolist(), found.near_duplicates.tolist()


def contamination(train: Side, held_out: Side) -> tuple[list[int], list[int]]:
    found = duplicates.contamination(train, held_out)
    return found.train.tolist(), found.held_out.tolist()


def prose(seed: int, length: int = 60) -> list[str]:
    drawn = random.Random(seed)
    return ["".join(drawn.choices(string.ascii_lowercase, k=6)) for _ in range(length)]


def text(seed: int, length: int = 60) -> str:
    return " ".join(prose(seed, length))


def with_last_word(seed: int, word: str, length: int = 60) -> str:
    return " ".join([*prose(seed, length)[:-1], word])


def test_the_first_of_equal_rows_stays():
    found = Side(["One two.", "three", "one  TWO", "One two."]).repeated()
    assert found == ([2, 3], [])


def test_a_row_with_one_word_changed_is_a_near_duplicate():
    found = Side([text(1), text(2), with_last_word(1, "other")]).repeated()
    assert found == ([], [2])


def test_rows_that_share_a_third_of_their_runs_are_no_near_duplicates():
    half = prose(1)[:30]
    assert Side([" ".join(half + prose(2)[:30]), " ".join(half + prose(3)[:30])]).repeated()[1] == []


@pytest.mark.parametrize("short", ["yes", "yes no", "one two three four"])
def test_short_rows_are_alike_only_if_equal(short: str):
    found = Side([short, short + " more", short.upper()]).repeated()
    assert found == ([2], [])


def test_rows_without_words_are_duplicates_of_each_other():
    assert Side(["...", "!", "a"]).repeated()[0] == [1]


def test_no_rows_have_no_copies():
    found = Side([]).repeated()
    assert found == ([], [])
    assert contamination(Side([]), Side([])) == ([], [])


@given(st.permutations([0, 0, 1, 2, 3, 4, 5, 6]))
def test_the_order_of_rows_does_not_change_what_is_alike(order: list[int]):
    # 1, 2 and 3 are a chain: the ends are alike only by way of the middle.
    chain = [" ".join([f"w{number}" for number in range(start, start + 80)]) for start in (0, 6, 12)]
    texts = [text(0), *chain, text(4), with_last_word(4, "other"), text(6)]
    duplicates, near_duplicates = Side([texts[place] for place in order]).repeated()
    assert len(duplicates) == 1
    stay = {order[place] for place in range(len(order))} - {order[place] for place in near_duplicates}
    assert len(near_duplicates) == 3
    assert len(stay & {1, 2, 3}) == 1
    assert len(stay & {4, 5}) == 1
    first = {min((order.index(one), one) for one in group)[1] for group in ({1, 2, 3}, {4, 5})}
    assert first <= stay


def test_texts_that_share_one_band_only_are_not_all_compared_with_each_other():
    sketches = np.random.default_rng(1).integers(0, 2**32, (6000, 128), dtype=np.uint32)
    sketches[:, :6] = 7
    sketches[11] = sketches[10]
    found = [set(bucket.tolist()) for bucket in candidates(sketches)]
    assert max(len(bucket) for bucket in found) < 10
    assert any({10, 11} <= bucket for bucket in found)


def test_a_held_out_row_copied_into_the_training_is_found():
    found = contamination(Side([text(1), text(2)]), Side([text(3), text(2).upper()]))
    assert found == ([1], [1])


def test_a_near_duplicate_across_the_split_is_found():
    words = prose(1, 12)
    # Too short for a run of thirteen words.
    near = " ".join([*words, "end"][:12])
    found = contamination(Side([near]), Side([" ".join(words)]))
    assert found[0] == [0]


def test_a_run_of_thirteen_words_is_contamination_and_one_of_twelve_is_not():
    held = prose(9)
    thirteen = [*prose(1)[:20], *held[10:23], *prose(2)[:20]]
    twelve = [*prose(3)[:20], *held[10:22], *prose(4)[:20]]
    found = contamination(Side([" ".join(twelve), " ".join(thirteen)]), Side([" ".join(held)]))
    assert found == ([1], [0])


def test_a_phrase_of_the_whole_data_set_is_no_contamination():
    phrase = " ".join(prose(5)[:15])
    train = [f"{phrase} {text(100 + number)}" for number in range(BOILERPLATE + 1)]
    held = [f"{phrase} {text(99)}"]
    assert contamination(Side(train), Side(held))[0] == []
    assert len(contamination(Side(train[:-1]), Side(held))[0]) == BOILERPLATE
