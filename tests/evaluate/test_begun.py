"""Models go on from a row's own prompt, or from its first half, and always have room to."""

from pathlib import Path

import pytest

from hubtune.data.segments import Segment, WrittenRow
from hubtune.data.tokenization import IGNORED, Encoder, Example
from hubtune.evaluate.bench import begin
from hubtune.models.pretrained import load_tokenizer
from tests.encoding import encode
from tests.sample_runs import BASE_REPO
from tests.tiny_models import CONTEXT


@pytest.fixture
def tokenizer(llama: Path):
    return load_tokenizer(llama, BASE_REPO)


def _asked(tokenizer, *pieces: str) -> Example:
    """Returns a row of prompt, response, prompt, response and so on."""
    parts = tuple(Segment(text, response=bool(number % 2)) for number, text in enumerate(pieces))
    (example,) = Encoder(tokenizer, CONTEXT).encode([WrittenRow(parts, learn_all=False)])
    assert isinstance(example, Example)
    return example


def test_a_prompt_of_its_own_is_what_a_row_begins_with(tokenizer):
    begun = begin([_asked(tokenizer, "Who rises first?", " The baker.")], tokenizer, CONTEXT - 8, 10, 1)

    assert begun.asked
    assert begun.rows[0].text == "Who rises first?"
    assert begun.rows[0].reference.strip() == "The baker."
    assert begun.given == "each row's prompt is given"


def test_of_several_answers_the_first_is_the_reference(tokenizer):
    row = _asked(tokenizer, "Who rises first?", " The baker.", " And then?", " The gardener.")

    (begun,) = begin([row], tokenizer, CONTEXT - 8, 10, 1).rows
    assert (begun.text, begun.reference.strip()) == ("Who rises first?", "The baker.")


def test_a_row_without_a_prompt_is_halved(tokenizer):
    text = "The keeper keeps the light and the light keeps the keeper."
    rows = encode([text], tokenizer, CONTEXT)

    begun = begin(rows, tokenizer, CONTEXT - 8, 10, 1)

    assert not begun.asked
    assert begun.rows[0].prompt == rows[0].input_ids[: len(rows[0].input_ids) // 2]
    assert begun.rows[0].text + begun.rows[0].reference == text
    assert begun.given == "the first half of each row's tokens is given"


def test_a_bos_alone_is_no_prompt(tokenizer):
    (row,) = encode(["The keeper keeps the light."], tokenizer, CONTEXT)
    labels = [IGNORED, *row.labels[1:]]

    begun = begin([Example("", row.input_ids, labels, truncated=False)], tokenizer, CONTEXT - 8, 10, 1)

    assert not begun.asked
    assert len(begun.rows[0].prompt) == len(row.input_ids) // 2


def test_a_prompt_too_long_for_the_context_loses_its_front_and_is_counted(tokenizer):
    row = _asked(tokenizer, "bread and light " * 5 + "?", " Yes.")

    begun = begin([row], tokenizer, 12, 10, 1)

    assert begun.rows[0].prompt == row.input_ids[: row.labels.index(next(_learnt(row)))][-12:]
    assert begun.rows[0].cut
    assert "cut at their front to fit the context: 1" in begun.given


def _learnt(row: Example):
    return (label for label in row.labels if label != IGNORED)


def test_a_row_with_nothing_to_go_on_to_is_left_out_and_counted(tokenizer):
    begun = begin([*encode(["ab"], tokenizer, CONTEXT), Example("", [5], [5], False)], tokenizer, CONTEXT - 8, 10, 1)

    assert len(begun.rows) + begun.unusable == 2
    assert f"left out as too short: {begun.unusable}" in begun.given


def test_of_many_rows_a_seeded_sample_is_taken(tokenizer):
    rows = encode([f"The {number}th loaf feeds the keeper." for number in range(30)], tokenizer, CONTEXT)

    def texts(seed: int) -> list[str]:
        return [row.reference for row in begin(rows, tokenizer, CONTEXT - 8, 12, seed).rows]

    assert len(texts(1)) == 12
    assert texts(1) == texts(1)
    prompts = [row.prompt for row in begin(rows, tokenizer, CONTEXT - 8, 12, 1).rows]
    assert prompts != [row.prompt for row in begin(rows, tokenizer, CONTEXT - 8, 12, 2).rows]
