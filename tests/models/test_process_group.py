"""Pieces of work that two processes share out: each is done once, and both know all results in order."""

from pathlib import Path

import pytest

from hubtune.data.batch import collate_classes
from hubtune.evaluate.bench import likelihoods
from hubtune.models.classifier import Classes, give_classes, load_classifier
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.models.process_group import spread
from tests.encoding import encode
from tests.two_processes import in_two_processes, join

TEXTS = tuple(f"{'The baker rises. ' * (number % 5 + 1)}{number}" for number in range(13))


class OddError(Exception):
    """One that cannot be sent to another process."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@pytest.fixture
def launched(tmp_path: Path):
    """Does work in two processes that share it out; returns what each has."""

    def do(work):
        def joined(rank: int) -> object:
            join()
            return work(rank)

        return in_two_processes(joined, tmp_path)

    return do


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_each_piece_is_done_once_and_both_have_all_results(launched, count: int):
    def work(rank: int) -> tuple[list[tuple[int, int]], int]:
        seen: list[int] = []
        found = spread([lambda number=number: (number, rank) for number in range(count)], lambda: seen.append(1))
        return found, len(seen)

    first, second = launched(work)

    assert first == second == ([(number, number % 2) for number in range(count)], count)
    assert spread([lambda number=number: number for number in range(count)]) == list(range(count))


@pytest.mark.parametrize("error", [ValueError("no number"), OddError("no ", "number")])
def test_what_one_process_raises_both_raise(launched, error: Exception):
    def fail(number: int) -> int:
        if number == 3:
            raise error
        return number

    def work(_rank: int) -> str:
        with pytest.raises((ValueError, RuntimeError)) as raised:
            spread([lambda number=number: fail(number) for number in range(8)])
        # The processes are in step all the same.
        assert spread([lambda: 1, lambda: 2]) == [1, 2]
        return str(raised.value)

    first, second = launched(work)

    assert first == second
    assert "no number" in first


def test_likelihoods_are_those_of_one_process_bit_for_bit(launched, llama: Path):
    model, tokenizer = load_base(llama, "org/base", "fp32"), load_tokenizer(llama, "org/base")
    rows = encode(TEXTS, tokenizer, 64)
    alone = likelihoods(model, rows, 0, 2)

    for found in launched(lambda _rank: likelihoods(model, rows, 0, 2)):
        assert found.nll.tobytes() == alone.nll.tobytes()
        assert found.tokens.tobytes() == alone.tokens.tobytes()
        assert found.correct.tobytes() == alone.correct.tobytes()


def test_classes_are_those_of_one_process(launched, llama: Path):
    classes = Classes(("a", "b", "c"), several=False, pad_id=0)
    model, _ = load_classifier(llama, "org/base", "fp32", classes)
    rows = encode(TEXTS, load_tokenizer(llama, "org/base"), 64)
    batches = [lambda row=row: collate_classes([row], 0, None) for row in rows]
    alone = give_classes(model, batches)

    assert launched(lambda _rank: give_classes(model, batches)) == [alone, alone]
