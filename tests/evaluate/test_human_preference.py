"""Each pair counts once, ties are left out of the rate, and nobody can tell from the order whose text is whose."""

import pytest

from hubtune.evaluate.human_preference import blind_order, count_answers, wilson, win_rate
from hubtune.records.ratings import Counts, Rating


def rating(pair: int, choice: str, a: str = "tuned") -> Rating:
    answer = "tie" if choice == "tie" else "a" if choice == a else "b"
    return Rating(pairs="0" * 64, pair=pair, a=a, answer=answer, time="2026-01-31T12:00:00+00:00")


def counts(tuned: int, base: int, ties: int = 0) -> Counts:
    total = tuned + base + ties
    return Counts(raters=1, answers=total, tuned=tuned, base=base, ties=ties, compared=0, agreed=0)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_is_wilson_s(successes: int, n: int, low: float, high: float):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_ties_are_left_out_of_the_rate_and_stated():
    measure = win_rate(counts(tuned=12, base=4, ties=9), seed=7)

    assert (measure.name, measure.split, measure.n, measure.status) == ("win_rate", "held-out", 16, "measured")
    assert (measure.tuned, measure.base) == (0.75, 0.25)
    assert measure.tuned_interval == wilson(12, 16)
    assert measure.base_interval == pytest.approx(wilson(4, 16))
    assert (measure.seed, measure.settings["ties"]) == (7, "9")


@pytest.mark.parametrize(("tuned", "base", "status"), [(9, 0, "insufficient data"), (9, 1, "measured")])
def test_fewer_than_ten_decided_pairs_are_too_few(tuned: int, base: int, status: str):
    assert win_rate(counts(tuned, base, ties=30), seed=7).status == status


def test_ties_alone_give_no_rate():
    measure = win_rate(counts(0, 0, ties=3), seed=7)

    assert (measure.tuned, measure.base, measure.tuned_interval, measure.n) == (None, None, None, 0)
    assert measure.status == "insufficient data"


@pytest.mark.parametrize("a", ["tuned", "base"])
def test_an_answer_counts_for_the_side_whose_text_was_chosen(a: str):
    found = count_answers({"ann": [rating(0, "tuned", a), rating(1, "tuned", a), rating(2, "base", a)]})

    assert (found.tuned, found.base, found.ties) == (2, 1, 0)


def test_a_pair_with_several_raters_counts_once_for_what_most_of_them_preferred():
    found = count_answers(
        {
            "ann": [rating(0, "tuned"), rating(1, "tuned"), rating(2, "tie"), rating(3, "base")],
            "bob": [rating(0, "tuned"), rating(1, "base"), rating(2, "base")],
            "cleo": [rating(0, "base")],
            "dan": [],
        }
    )

    # Pair 0: two of three for tuned; 1: one each; 2: one for base and a tie; 3: one for base.
    assert (found.tuned, found.base, found.ties) == (1, 2, 1)
    assert (found.raters, found.answers) == (3, 8)
    # Pair 0 gives three comparisons, one of them alike; pairs 1 and 2 one each, neither alike.
    assert (found.compared, found.agreed) == (5, 1)


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_every_pair_is_shown_once_with_the_tuned_text_first_in_half_of_them(count: int):
    for rater in ("ann", "bob", "cleo"):
        order = blind_order(rater, count, seed=42)
        assert sorted(shown.pair for shown in order) == list(range(count))
        assert sum(shown.a == "tuned" for shown in order) in {count // 2, (count + 1) // 2}


def test_the_order_follows_from_the_seed_and_the_rater():
    order = blind_order("ann", 50, seed=42)

    assert blind_order("ann", 50, seed=42) == order
    for other in (blind_order("bob", 50, seed=42), blind_order("ann", 50, seed=43)):
        assert [shown.pair for shown in other] != [shown.pair for shown in order]
        sides = {shown.pair: shown.a for shown in order}
        # Neither the same sides nor the opposite ones: both would let one rater's bias add to the other's.
        assert 10 < sum(shown.a == sides[shown.pair] for shown in other) < 40


def test_which_side_comes_first_cannot_be_told_from_the_place_in_the_order():
    """Over many raters, the tuned text is A at each place about half of the time."""
    orders = [blind_order(f"rater{number}", 20, seed=42) for number in range(400)]

    for place in range(20):
        assert 150 < sum(order[place].a == "tuned" for order in orders) < 250
