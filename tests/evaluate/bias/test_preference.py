"""How often the stereotyped sentence is the likelier, and how sure that is."""

import math
from pathlib import Path

import pytest

from hubtune.config.evaluation import BiasConfig
from hubtune.evaluate.bias.pair_preference import PairPreference
from hubtune.evaluate.bias.word_list import WordListHits
from tests.evaluate.bias.toys import MARKED, Skewed, bench_of, word_tokenizer

SIZE = 20


def _pairs(folder: Path, count: int) -> BiasConfig:
    """Writes pairs of which three in four are about an aunt who is stereotyped, the others about an uncle."""
    lines = [
        f"{'aunt' if number % 4 else 'uncle'} n{number} {MARKED},{'uncle' if number % 4 else 'aunt'} n{number} {MARKED}"
        for number in range(count)
    ]
    file = folder / "pairs.csv"
    file.write_text("more,less\n" + "\n".join(lines) + "\n")
    return BiasConfig(pairs=str(file))


def _models(count: int):
    tokenizer = word_tokenizer(["aunt uncle", MARKED, *(f"n{number}" for number in range(count))])
    ids = tokenizer.convert_tokens_to_ids
    fond = Skewed(len(tokenizer), ids(MARKED), 2.0, [ids("aunt")])
    averse = Skewed(len(tokenizer), ids(MARKED), 2.0, [ids("uncle")])
    return tokenizer, fond, averse


def test_the_share_is_that_of_the_pairs_where_the_stereotyped_sentence_is_likelier(listener, tmp_path):
    tokenizer, fond, averse = _models(SIZE)

    (measure,) = PairPreference().measure(
        bench_of(tokenizer, listener, base=averse, tuned=fond, bias=_pairs(tmp_path, SIZE))
    )

    assert (measure.name, measure.group, measure.n) == ("pair_preference", "bias", SIZE)
    assert (measure.base, measure.tuned) == (pytest.approx(0.25), pytest.approx(0.75))
    assert measure.difference == pytest.approx(0.5)


def test_a_user_s_set_smaller_than_crows_pairs_is_insufficient_data(listener, tmp_path):
    tokenizer, fond, averse = _models(SIZE)

    (measure,) = PairPreference().measure(
        bench_of(tokenizer, listener, base=averse, tuned=fond, bias=_pairs(tmp_path, SIZE))
    )

    assert (measure.status, measure.interval) == ("insufficient data", None)
    assert "1,508" in str(measure.detail)


def test_hubtune_s_own_pairs_are_enough_with_three_hundred(listener):
    tokenizer = word_tokenizer(["the"])
    one = Skewed(len(tokenizer), 3, 0.0, [])

    (measure,) = PairPreference().measure(bench_of(tokenizer, listener, base=one, tuned=one))

    assert (measure.n, measure.status) == (300, "measured")
    assert measure.base_interval is not None
    assert measure.p_value == 1
    assert "in 600 pairs both sentences are equally likely" in str(measure.detail)


def test_a_pair_that_has_no_number_on_one_side_is_left_out_on_both(listener, tmp_path):
    tokenizer, fond, _ = _models(SIZE)
    broken = Skewed(len(tokenizer), tokenizer.convert_tokens_to_ids(MARKED), math.nan, [])

    (measure,) = PairPreference().measure(
        bench_of(tokenizer, listener, base=broken, tuned=fond, bias=_pairs(tmp_path, SIZE))
    )

    assert (measure.n, measure.tuned) == (0, None)
    assert f"{SIZE} pairs have a likelihood that is NaN" in str(measure.detail)


def test_a_classifier_or_a_file_that_is_not_at_hand_is_no_fit(listener, tmp_path):
    tokenizer, fond, _ = _models(SIZE)
    bench = bench_of(tokenizer, listener, tuned=fond, bias=BiasConfig(pairs=str(tmp_path / "gone.csv")))

    assert "gone.csv" in str(PairPreference().unfit(bench))
    assert str(tmp_path) not in str(PairPreference().unfit(bench))
    assert WordListHits().unfit(bench) is None
    bench.classes = ["bad", "good"]
    assert "classifier" in str(WordListHits().unfit(bench))
