"""An answer that was acknowledged is in the file, whatever happened since; a damaged file is refused by its line."""

import re
from pathlib import Path

import pytest

from hubtune.errors import RecordError
from hubtune.records.ratings import AnswerFile, Rating

PAIRS = "a" * 64


def rating(pair: int, answer: str = "a") -> Rating:
    return Rating(pairs=PAIRS, pair=pair, a="base", answer=answer, time="2026-01-31T12:00:00+00:00")


@pytest.fixture
def answers(tmp_path: Path) -> AnswerFile:
    """A file with two answers."""
    file = AnswerFile(tmp_path / "ratings" / "ann.jsonl", PAIRS, count=5)
    for pair in (3, 1):
        file.append(lambda _given, pair=pair: rating(pair))
    return file


def test_answers_are_kept_in_their_order_one_line_each(answers: AnswerFile):
    assert answers.path.read_text() == "".join(f"{rating(pair).model_dump_json()}\n" for pair in (3, 1))
    assert answers.read().given == (rating(3), rating(1))
    assert answers.rater == "ann"


def test_an_undone_answer_stays_in_the_file_and_does_not_count(answers: AnswerFile):
    answers.append(lambda given: given[-1].model_copy(update={"answer": "undone"}))

    assert answers.read().given == (rating(3),)
    assert len(answers.path.read_text().splitlines()) == 3


def test_undoing_goes_back_answer_by_answer(answers: AnswerFile):
    for pair in (1, 3, 3):
        answers.append(lambda _given, pair=pair: rating(pair, "undone"))

    assert answers.read().given == ()


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_line_that_was_cut_off_by_a_kill_is_left_out_and_written_over(answers: AnswerFile, cut: int):
    with answers.path.open("ab") as file:
        file.write(rating(2).model_dump_json().encode()[:cut])

    assert answers.read().given == (rating(3), rating(1))
    assert answers.read().cut_off
    answers.append(lambda _given: rating(4, "tie"))
    assert answers.read().given == (rating(3), rating(1), rating(4, "tie"))
    assert not answers.read().cut_off


@pytest.mark.parametrize("line", ["", "{}", "{", "\x00", '{"pairs": 1}', rating(2).model_dump_json()[:-9]])
def test_a_broken_line_is_named_and_nothing_is_written(answers: AnswerFile, line: str):
    first, second = answers.path.read_text().splitlines()
    answers.path.write_text(f"{first}\n{line}\n{second}\n")
    before = answers.path.read_bytes()

    with pytest.raises(RecordError, match=re.escape(f"Line 2 of {answers.path} is not an answer")):
        answers.read()
    with pytest.raises(RecordError, match="Line 2"):
        answers.append(lambda _given: rating(4))
    assert answers.path.read_bytes() == before


@pytest.mark.parametrize(("pairs", "count"), [("b" * 64, 5), (PAIRS, 3)])
def test_answers_to_other_pairs_are_refused(answers: AnswerFile, pairs: str, count: int):
    with pytest.raises(RecordError, match=r"Line 1 .* answers for other pairs"):
        AnswerFile(answers.path, pairs, count).read()


def test_nothing_is_written_where_there_is_nothing_to_add(answers: AnswerFile):
    before = answers.path.read_bytes()

    assert answers.append(lambda _given: None) is None
    assert answers.path.read_bytes() == before
