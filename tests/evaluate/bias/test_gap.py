"""The gap is nought for a model that makes no difference, and has a planted difference's sign and size."""

import math

import pytest
import torch

from hubtune.evaluate.bias.counterfactual_gap import CounterfactualGap
from hubtune.evaluate.bias.material import swaps
from tests.evaluate.bias.toys import MARKED, Skewed, bench_of, templates_file, word_tokenizer

PAIRS = [(f"her{number}", f"him{number}") for number in range(10)]
# Of one to four words after the term, the last of them marked.
TEMPLATES = [
    f"today t{number} {{term}} {'and so ' * (number % 2)}{MARKED} {'it' * (number % 3)}" for number in range(30)
]
TEXTS = [word for template in TEMPLATES for word in template.split()] + [word for pair in PAIRS for word in pair]


@pytest.fixture
def tokenizer():
    return word_tokenizer(TEXTS)


def _skewed(tokenizer, amount: float, terms: list[str]) -> Skewed:
    ids = tokenizer.convert_tokens_to_ids
    return Skewed(len(tokenizer), ids(MARKED), amount, [ids(term) for term in terms])


def _expected(tokenizer, amount: float) -> list[float]:
    """Returns each template's gap, by hand, where `amount` is planted after the first terms."""
    size = len(tokenizer)
    # Of a token that is not raised, how much less likely it is than where none is raised.
    lost = math.log(size) - math.log(size - 1 + math.exp(amount))
    return [amount + lost * len(template.split("{term}")[1].split()) for template in TEMPLATES]


def _measured(bench) -> dict:
    return {measure.name: measure for measure in CounterfactualGap().measure(bench)}


@pytest.mark.parametrize("amount", [0.7, -1.3])
def test_a_planted_skew_is_recovered_in_sign_and_size(tokenizer, listener, tmp_path, amount: float):
    bias = templates_file(tmp_path, {"gender": PAIRS}, TEMPLATES)
    tuned, base = _skewed(tokenizer, amount, [a for a, _ in PAIRS]), _skewed(tokenizer, 0.0, [])
    expected = _expected(tokenizer, amount)

    found = _measured(bench_of(tokenizer, listener, base=base, tuned=tuned, bias=bias))

    gap, absolute = found["counterfactual_gap_gender"], found["counterfactual_gap_abs_gender"]
    assert gap.tuned == pytest.approx(sum(expected) / len(expected), abs=1e-5)
    assert absolute.tuned == pytest.approx(sum(map(abs, expected)) / len(expected), abs=1e-5)
    assert gap.base == pytest.approx(0, abs=1e-6)
    assert math.copysign(1, gap.tuned) == math.copysign(1, amount)
    assert (gap.n, gap.status, gap.group, gap.split) == (300, "measured", "bias", "templates")
    assert gap.interval[0] <= gap.difference <= gap.interval[1]
    assert gap.p_value < 0.01


def test_swapping_the_terms_flips_the_sign_and_keeps_the_absolute_gap(tokenizer, listener, tmp_path):
    skewed = _skewed(tokenizer, 0.7, [a for a, _ in PAIRS])
    found = []
    for terms in (PAIRS, [(b, a) for a, b in PAIRS]):
        bias = templates_file(tmp_path, {"gender": terms}, TEMPLATES)
        found.append(_measured(bench_of(tokenizer, listener, tuned=skewed, bias=bias)))
    one, other = found

    assert other["counterfactual_gap_gender"].tuned == pytest.approx(-one["counterfactual_gap_gender"].tuned, abs=1e-6)
    assert other["counterfactual_gap_abs_gender"].tuned == pytest.approx(one["counterfactual_gap_abs_gender"].tuned)
    assert one["counterfactual_gap_gender"].tuned > 0.3


def test_skews_that_go_both_ways_cancel_in_the_mean_but_not_in_the_mean_absolute_gap(tokenizer, listener, tmp_path):
    bias = templates_file(tmp_path, {"gender": PAIRS}, TEMPLATES)
    both_ways = _skewed(tokenizer, 0.7, [a for a, _ in PAIRS[:5]] + [b for _, b in PAIRS[5:]])

    found = _measured(bench_of(tokenizer, listener, tuned=both_ways, bias=bias))

    assert found["counterfactual_gap_gender"].tuned == pytest.approx(0, abs=1e-6)
    assert found["counterfactual_gap_abs_gender"].tuned > 0.3


def test_a_model_that_tells_no_term_from_the_other_has_no_gap(tokenizer, listener, tmp_path):
    """A real transformer, with one embedding for both terms of each pair."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.5,
    )
    even = LlamaForCausalLM(config)
    bias = templates_file(tmp_path, {"gender": PAIRS}, TEMPLATES)
    before = _measured(bench_of(tokenizer, listener, tuned=even, bias=bias))["counterfactual_gap_abs_gender"]
    with torch.no_grad():
        for a, b in PAIRS:
            first, second = tokenizer.convert_tokens_to_ids([a, b])
            even.model.embed_tokens.weight[second] = even.model.embed_tokens.weight[first]

    found = _measured(bench_of(tokenizer, listener, tuned=even, bias=bias))

    assert before.tuned > 0.01
    assert found["counterfactual_gap_gender"].tuned == pytest.approx(0, abs=1e-6)
    assert found["counterfactual_gap_abs_gender"].tuned == pytest.approx(0, abs=1e-6)


def test_a_term_of_more_tokens_is_not_thereby_less_likely(listener, tmp_path):
    terms = [(f"the person who is number n{number}", f"m{number}") for number in range(10)]
    tokenizer = word_tokenizer([*TEXTS, *(term for pair in terms for term in pair)])
    bias = templates_file(tmp_path, {"length": terms}, TEMPLATES)

    found = _measured(bench_of(tokenizer, listener, tuned=_skewed(tokenizer, 0.0, []), bias=bias))

    assert found["counterfactual_gap_abs_length"].tuned == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("templates", "pairs"), [(29, 10), (30, 9)])
def test_too_few_templates_or_terms_are_insufficient_data(tokenizer, listener, tmp_path, templates: int, pairs: int):
    bias = templates_file(tmp_path, {"gender": PAIRS[:pairs]}, TEMPLATES[:templates])
    even = _skewed(tokenizer, 0.0, [])

    for measure in _measured(bench_of(tokenizer, listener, base=even, tuned=even, bias=bias)).values():
        assert (measure.status, measure.interval, measure.tuned_interval) == ("insufficient data", None, None)
        assert measure.p_value is None
        assert f"{templates} templates and {pairs} pairs" in measure.detail


def test_the_interval_is_of_templates_not_of_rows(listener, tmp_path):
    """With twice as many rows of the same templates it is as wide as before."""
    more = [(f"{a}too", f"{b}too") for a, b in PAIRS]
    known = word_tokenizer([*TEXTS, *(term for pair in more for term in pair)])
    plain, skewed = _skewed(known, 0.0, []), _skewed(known, 0.7, [a for a, _ in [*PAIRS, *more]])
    found = []
    for terms in (PAIRS, [*PAIRS, *more]):
        bias = templates_file(tmp_path, {"gender": terms}, TEMPLATES)
        found.append(_measured(bench_of(known, listener, base=plain, tuned=skewed, bias=bias)))
    few, many = (measures["counterfactual_gap_gender"] for measures in found)

    assert (few.n, many.n) == (300, 600)
    assert many.interval == pytest.approx(few.interval)
    assert few.interval[1] - few.interval[0] > 0.005


def test_p_values_are_adjusted_for_the_number_of_axes(tokenizer, listener, tmp_path):
    plain, skewed = _skewed(tokenizer, 0.0, []), _skewed(tokenizer, 0.7, [a for a, _ in PAIRS])
    found = []
    for axes in ({"one": PAIRS}, {"one": PAIRS, "two": PAIRS, "three": PAIRS}):
        bias = templates_file(tmp_path, axes, TEMPLATES)
        found.append(_measured(bench_of(tokenizer, listener, base=plain, tuned=skewed, bias=bias)))
    alone, together = found

    assert together["counterfactual_gap_one"].p_value == pytest.approx(3 * alone["counterfactual_gap_one"].p_value)


def test_a_model_that_gives_no_number_failed(tokenizer, listener, tmp_path):
    bias = templates_file(tmp_path, {"gender": PAIRS}, TEMPLATES)

    found = _measured(bench_of(tokenizer, listener, tuned=_skewed(tokenizer, math.nan, [PAIRS[0][0]]), bias=bias))

    assert {measure.status for measure in found.values()} == {"failed"}
    assert {measure.tuned for measure in found.values()} == {None}


def test_the_measure_says_which_material_it_was_taken_with(tokenizer, listener, tmp_path):
    bias = templates_file(tmp_path, {"gender": PAIRS}, TEMPLATES)

    measure = _measured(bench_of(tokenizer, listener, tuned=_skewed(tokenizer, 0.0, []), bias=bias))[
        "counterfactual_gap_gender"
    ]

    assert measure.settings == {
        "material": "templates.jsonl",
        "sha256": swaps(bias).sha256,
        "origin": "user",
        "axis": "gender",
        "templates": "30",
        "terms": "10",
    }
    assert measure.seed == 42
