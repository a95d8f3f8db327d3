"""Measures of quality are what a plain loop, sacrebleu's command, rouge-score, SQuAD and scikit-learn say they are."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from hubtune.data.tokenization import IGNORED, Example
from hubtune.evaluate.measurement import run_metrics
from hubtune.evaluate.quality import QUALITY_METRICS
from hubtune.evaluate.quality.likelihood import (
    BitsPerByte,
    Classification,
    Perplexity,
    TokenAccuracy,
    confusion,
    predicted_bytes,
    scores,
)
from hubtune.evaluate.quality.overlap import (
    Bleu,
    Chrf,
    Endings,
    ExactMatch,
    Rouge,
    Samples,
    TokenF1,
    normalised,
    token_f1,
)
from tests.encoding import encode
from tests.tiny_models import CONTEXT, VOCABULARY


def _plain(model, examples) -> tuple[float, int, int]:
    """Returns bits, tokens and likeliest tokens, row by row, each alone, without padding or mask."""
    bits, tokens, right = 0.0, 0, 0
    model.eval()
    for example in examples:
        with torch.no_grad():
            chances = torch.log_softmax(model(torch.tensor([example.input_ids])).logits[0].double(), dim=-1)
        for place, token in enumerate(example.input_ids[1:]):
            bits -= float(chances[place, token]) / math.log(2)
            tokens += 1
            right += int(chances[place].argmax()) == token
    return bits, tokens, right


@pytest.mark.parametrize(("batch_size", "padding_side"), [(1, "right"), (7, "left"), (16, "right")])
def test_likelihoods_are_a_plain_loop_s_at_any_batch_size(bench, tuned, batch_size: int, padding_side: str):
    bench.batch_size, bench.tokenizer.padding_side = batch_size, padding_side
    bits, tokens, right = _plain(tuned, bench.held_out)
    size = sum(predicted_bytes(bench, example) for example in bench.held_out)

    ((perplexity,), (density,), (accuracy,)) = (
        metric.measure(bench) for metric in (Perplexity(), BitsPerByte(), TokenAccuracy())
    )

    assert perplexity.tuned == pytest.approx(2 ** (bits / tokens), rel=1e-4)
    assert density.tuned == pytest.approx(bits / size, rel=1e-4)
    assert accuracy.tuned == pytest.approx(right / tokens, abs=1e-9)
    assert perplexity.tokens == density.tokens == accuracy.tokens == tokens


def test_one_pass_over_the_rows_serves_all_three(bench, tuned):
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    hook = tuned.get_base_model().register_forward_hook(count)
    for metric in (Perplexity(), BitsPerByte(), TokenAccuracy()):
        metric.measure(bench)
    hook.remove()

    assert passes == 2 * math.ceil(len(bench.held_out) / bench.batch_size)


def test_the_bytes_are_those_of_the_text_after_what_was_given(bench):
    """Of a row that is learned whole, the first token is not predicted; EOS has no bytes; letters count in UTF-8."""
    text = "Brød før brot, é vero"
    (whole,) = encode([text], bench.tokenizer, CONTEXT)
    first = bench.tokenizer.decode(whole.input_ids[:1], skip_special_tokens=True)
    assert predicted_bytes(bench, whole) == len(text.encode()) - len(first.encode())

    # The place in the middle is not within a letter.
    middle = next(
        place
        for place in range(len(whole.input_ids) // 2, len(whole.input_ids))
        if "\ufffd" not in bench.tokenizer.decode(whole.input_ids[:place])
    )
    given = bench.tokenizer.decode(whole.input_ids[:middle], skip_special_tokens=True)
    labels = [IGNORED] * middle + whole.labels[middle:]
    half = Example(text, whole.input_ids, labels, False)
    assert predicted_bytes(bench, half) == len(text.encode()) - len(given.encode())


def test_rows_whose_loss_is_no_number_are_counted(bench, tuned):
    with torch.no_grad():
        next(weight for name, weight in tuned.named_parameters() if "lora_B" in name).fill_(torch.nan)

    (measure,) = Perplexity().measure(bench)

    assert (measure.status, measure.n, measure.base, measure.tuned) == ("failed", 23, None, None)
    assert measure.detail == "the loss is NaN or infinite in 23 of 23 rows for the tuned model"


def test_bleu_and_chrf_are_what_sacrebleu_s_command_says(bench, tmp_path: Path):
    texts = {"refs": [row.reference for row in bench.begun.rows]}
    # The tuned model writes next to nothing that is right: half the rows are answered as they should be.
    for number, made in enumerate(bench.continuations("tuned")):
        if number % 2:
            object.__setattr__(made, "text", texts["refs"][number] + " and more")
    texts["made"] = [made.text for made in bench.continuations("tuned")]
    for name, lines in texts.items():
        (tmp_path / name).write_text("".join(" ".join(line.split()) + "\n" for line in lines), encoding="utf-8")
    said = [
        subprocess.run(
            [sys.executable, "-m", "sacrebleu", "refs", "-i", "made", "-m", kind, "-w", "8", "-f", "text"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for kind in ("bleu", "chrf")
    ]

    for metric, line in zip((Bleu(), Chrf()), said, strict=True):
        (measure,) = metric.measure(bench)
        signature, _, value = line.partition(" = ")
        assert measure.tuned == pytest.approx(float(value.split()[0]), abs=1e-6)
        assert measure.tuned > 1
        assert measure.settings["signature"].split(",")[0] == signature.split("|", 1)[1]
        assert measure.interval is not None
        assert measure.interval[0] < measure.tuned - measure.base < measure.interval[1]


def test_rouge_is_the_mean_of_rouge_score_s(bench):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    pairs = zip(bench.begun.rows, bench.continuations("tuned"), strict=True)
    rows = [scorer.score(row.reference, made.text) for row, made in pairs]

    for measure in Rouge().measure(bench):
        assert measure.tuned == pytest.approx(np.mean([row[measure.name].fmeasure for row in rows]))
        assert "rouge-score" in measure.settings["signature"]


@pytest.mark.parametrize(
    ("answer", "reference", "same", "f1"),
    [
        ("The Baker!", "baker", True, 1.0),
        ("the baker of bread", "a baker", False, 0.5),
        ("", "the", True, 1.0),
        ("", "bread", False, 0.0),
        ("one one two", "one two two", False, 2 / 3),
    ],
)
def test_answers_are_compared_as_squad_does(answer: str, reference: str, same: bool, f1: float):
    assert (normalised(answer) == normalised(reference)) is same
    assert token_f1(answer, reference) == pytest.approx(f1)


def test_answers_are_measured_where_rows_have_prompts_alone(bench):
    assert ExactMatch().unfit(bench) == TokenF1().unfit(bench) == "the rows are not prompts with responses"
    bench.held_out = [
        Example(row.text, row.input_ids, [IGNORED] * 4 + row.input_ids[4:], False)
        for row in bench.held_out
        if len(row.input_ids) > 8
    ]
    bench._begun = None
    for row, made in zip(bench.begun.rows, bench.continuations("tuned"), strict=True):
        object.__setattr__(made, "text", row.reference.upper())

    (exact,), (words,) = ExactMatch().measure(bench), TokenF1().measure(bench)

    assert (exact.tuned, words.tuned) == (1.0, 1.0)
    assert exact.base < 1
    assert exact.tuned_interval[1] == 1
    assert exact.p_value < 0.01


def test_a_model_that_writes_nothing_is_measured(bench):
    bench.generation.eos_token_id = list(range(VOCABULARY))

    found = {m.name: m for m in run_metrics(bench, [Bleu(), Chrf(), Rouge(), Endings(), Samples()], by_name=True)}

    assert {measure.status for measure in found.values()} == {"measured"}
    assert (found["ended"].tuned, found["generated_tokens"].tuned) == (1.0, 1.0)
    assert [found[name].tuned for name in ("bleu", "chrf", "rouge1", "rougeL")] == [0, 0, 0, 0]
    assert {sample.tuned for sample in bench.samples} == {""}


def test_a_model_that_never_ends_a_text_is_told_of_with_the_number(bench):
    # An id that no token has, so that nothing ends.
    bench.generation.eos_token_id = VOCABULARY + 1
    bench.max_new_tokens = 30
    short = sum(row.tokens <= bench.max_new_tokens for row in bench.begun.rows)

    (found,) = [one for one in run_metrics(bench, [Endings()], by_name=True) if one.name == "ended"]

    assert short >= 10
    assert found.detail.startswith(
        f"the tuned model rarely ends a text: it ended 0 of the {short} texts whose reference"
    )


def test_a_model_that_ends_its_texts_is_not(bench):
    bench.generation.eos_token_id = list(range(VOCABULARY))

    (found,) = [one for one in run_metrics(bench, [Endings()], by_name=True) if one.name == "ended"]

    assert found.detail is None


def test_texts_are_written_once_for_all_metrics(bench):
    first = bench.continuations("base")

    list(run_metrics(bench, QUALITY_METRICS, by_name=False))

    assert bench.continuations("base") is first


def test_the_tuned_side_alone_is_measured_where_there_is_no_base(bench):
    bench.sides = {"tuned": bench.sides["tuned"]}

    found = list(run_metrics(bench, QUALITY_METRICS, by_name=False))

    assert [m.name for m in found][:6] == ["perplexity", "bits_per_byte", "token_accuracy", "bleu", "chrf", "rouge1"]
    assert all(m.status == "measured" and m.base is None and m.tuned is not None for m in found)
    assert all(sample.base is None for sample in bench.samples)


def test_samples_show_the_same_beginnings_and_no_personal_data(bench):
    texts = [f"The keeper {number} has the address ann{number}@example.org for all" for number in range(9)]
    bench.held_out = encode(texts, bench.tokenizer, CONTEXT)

    assert Samples().measure(bench) == []

    assert len(bench.samples) == 5
    whole = [sample.prompt + (sample.reference or "") for sample in bench.samples]
    assert not any("@example" in text for text in whole)
    assert not any("ann" in text for text in whole)
    assert sum("[EMAIL]" in text for text in whole) == 5


def test_classes_are_told_apart_as_scikit_learn_says(bench):
    random = np.random.default_rng(3)
    references = random.integers(0, 3, 40)
    given = {"base": random.integers(0, 4, 40), "tuned": np.where(random.random(40) < 0.8, references, 3)}
    bench.held_out = [Example("", [1], [int(label)], False) for label in references]
    bench.classes, bench.classifier = ["sad", "glad", "odd", "none"], lambda side: [[one] for one in given[side]]
    metric = Classification()
    assert metric.unfit(bench) is None

    found = {measure.name: measure for measure in metric.measure(bench)}

    for side, predictions in given.items():
        expected = scores(references.tolist(), predictions.tolist())
        assert {name: getattr(measure, side) for name, measure in found.items()} == pytest.approx(expected)
    assert list(found) == ["accuracy", "macro_f1", "macro_precision", "macro_recall"]
    for measure in found.values():
        # The interval is worked out otherwise than the value: it has to lie around it.
        assert measure.interval[0] < measure.difference < measure.interval[1]
    base, tuned = bench.confusions
    assert (base.side, tuned.side, tuned.classes) == ("base", "tuned", ["sad", "glad", "odd", "none"])
    assert np.trace(tuned.counts) == (references == given["tuned"]).sum()
    assert [sum(line) for line in tuned.counts] == np.bincount(references, minlength=4).tolist()


def test_a_confusion_matrix_has_a_line_for_each_class_that_rows_have():
    assert confusion([0, 0, 1], [0, 1, 1], 3) == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
