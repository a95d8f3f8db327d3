"""A row counts as memorized just when greedy decoding from its beginning gives its end."""

from dataclasses import replace

import pytest
import torch

from hubtune.data.tokenization import IGNORED, Example
from hubtune.evaluate.privacy.memorisation import (
    LEAST,
    LONGEST,
    Memorisation,
    draw,
    newcombe,
    reproduced,
    suffix_length,
)


def row(tokens: int, prompt: int = 0) -> Example:
    """Returns a row of so many tokens with its end, the first of which may be a prompt's."""
    ids = list(range(5, 5 + tokens))
    return Example("", [*ids, 2], [*[IGNORED] * prompt, *ids[prompt:], 2], truncated=False)


def measured(bench):
    train, held_out, excess = Memorisation().measure(bench)
    return train, held_out, excess


@pytest.mark.parametrize(
    ("tokens", "prompt", "length"),
    [(19, 0, 0), (20, 0, 10), (61, 0, 30), (100, 0, 50), (400, 0, 50), (60, 45, 15), (60, 51, 0), (60, 10, 30)],
)
def test_a_suffix_is_half_the_row_at_most_fifty_at_least_ten_and_only_what_was_learnt(tokens, prompt, length):
    assert suffix_length(row(tokens, prompt)) == length


def test_an_overfitted_model_gives_its_training_rows_back_and_no_others(overfitted):
    train, held_out, excess = measured(overfitted)

    assert (train.name, train.split) == ("memorisation", "train")
    assert (held_out.name, held_out.split) == ("memorisation_held_out", "held-out")
    assert train.tuned > 0.9
    assert held_out.tuned < 0.1
    assert train.base < 0.1
    assert train.n == len(overfitted.train)
    assert excess.tuned == pytest.approx(train.tuned - held_out.tuned)
    assert excess.tuned_interval[0] > 0.5
    assert excess.base_interval[0] <= 0 <= excess.base_interval[1]


def test_fewer_than_three_hundred_rows_are_insufficient_and_say_so(overfitted):
    measures = measured(overfitted)

    assert {measure.status for measure in measures} == {"insufficient data"}
    assert f"48 rows were measured; at least {LEAST} are needed" in measures[0].detail
    assert {measure.group for measure in measures} == {"privacy"}


def test_three_hundred_rows_of_each_part_are_enough_and_have_their_intervals(overfitted):
    many = replace(overfitted, train=list(overfitted.train) * 7, held_out=list(overfitted.held_out) * 8)

    train, held_out, excess = measured(many)

    assert (train.status, train.n, held_out.status, held_out.n) == ("measured", LEAST, "measured", LEAST)
    assert train.tuned_interval[0] < train.tuned <= train.tuned_interval[1]
    assert train.base_interval[0] == 0.0
    assert train.p_value < 1e-6
    assert excess.status == "measured"
    assert excess.interval_method.startswith("95% Newcombe")


def test_what_is_the_likeliest_at_each_place_is_what_greedy_decoding_writes(overfitted):
    drawn = draw([*overfitted.train[:6], *overfitted.held_out[:6]], 1, None)
    found = reproduced(overfitted, drawn.rows, "some")["tuned"]

    with overfitted.sides["tuned"]() as model:
        for example, length, given_back in zip(drawn.rows, drawn.lengths, found, strict=True):
            prefix, suffix = example.input_ids[:-length], example.input_ids[-length:]
            with torch.inference_mode():
                written = model.generate(
                    input_ids=torch.tensor([prefix]), max_new_tokens=length, do_sample=False, pad_token_id=0
                )
            assert (written[0, len(prefix) :].tolist() == suffix) == given_back
    assert 0 < found.sum() < len(found)


def test_the_end_of_the_row_is_not_asked_for():
    (drawn,) = draw([row(40)], 1, None).rows

    assert drawn.input_ids[-1] == drawn.labels[-1] == 44
    assert sum(label != IGNORED for label in drawn.labels) == 20


def test_short_rows_are_left_out_and_counted(overfitted):
    drawn = draw([row(12), row(120), row(40), row(8)], 3, None)

    assert (len(drawn.rows), sorted(drawn.lengths), drawn.short) == (2, [20, LONGEST], 2)
    train, *_ = Memorisation().measure(replace(overfitted, train=[*overfitted.train, row(12), row(8)]))
    assert train.settings["too_short"] == "2"
    assert train.settings["rows_with_50"] == "0"
    assert "2 of the sampled rows are too short" in train.detail


def test_a_data_set_of_short_rows_alone_is_no_error_and_is_not_read_to_its_end(overfitted):
    class Counted(list):
        read = 0

        def __getitem__(self, place):
            Counted.read += 1
            return super().__getitem__(place)

    measures = Memorisation().measure(replace(overfitted, train=Counted([row(8)] * 20_000)))

    assert [measure.status for measure in measures] == ["insufficient data"] * 3
    assert (measures[0].n, measures[0].tuned, measures[2].tuned) == (0, None, None)
    assert Counted.read == 20 * LEAST


def test_the_sample_follows_from_the_seed_and_is_capped_by_the_config():
    rows = [row(40 + number % 7) for number in range(500)]

    assert draw(rows, 1, None) == draw(rows, 1, None)
    assert draw(rows, 1, None) != draw(rows, 2, None)
    assert len(draw(rows, 1, None).rows) == LEAST
    assert len(draw(rows, 1, 25).rows) == 25


def test_the_interval_of_a_difference_is_newcombe_s():
    """The example of the paper: 56 of 70 against 48 of 80 gives 0.0524 to 0.3339."""
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe((0, 10), (10, 10))[0] >= -1
