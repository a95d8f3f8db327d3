"""Whole cards, compared as whole files: UPDATE_GOLDEN=1 writes them again, and the diff is reviewed like code."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.render import render_card
from hubtune.errors import CardError
from hubtune.metadata.hub_rules import check_card as hub_check
from hubtune.records.results import Confusion, Measure
from hubtune.resources import templates_dir
from tests.sample_cards import CARDS

GOLDEN = Path(__file__).parent.parent / "golden" / "cards"


def compare(name: str, card: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(card, encoding="utf-8")
    assert card == path.read_text(encoding="utf-8")


def with_measure(inputs: CardInputs, **changes: object) -> CardInputs:
    measure = Measure.model_validate({**inputs.evaluation.measures[0].model_dump(), **changes})
    return replace(inputs, evaluation=inputs.evaluation.model_copy(update={"measures": [measure]}))


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("kind", CARDS)
def test_each_kind_of_release_has_its_golden_card(kind: str) -> None:
    compare(f"{kind}.md", render_card(CARDS[kind]()))


@pytest.mark.parametrize("kind", CARDS)
def test_each_golden_card_passes_the_hubs_own_validation(kind: str) -> None:
    assert hub_check(render_card(CARDS[kind]())) == ([], [])


def test_equal_inputs_give_equal_bytes(inputs: CardInputs) -> None:
    assert render_card(inputs) == render_card(replace(inputs))


def test_the_layout_has_no_doubled_blank_lines_and_no_trailing_space(
    inputs: CardInputs, bare: CardInputs, two_sets: CardInputs
) -> None:
    for card in map(render_card, (inputs, bare, two_sets)):
        assert "\n\n\n" not in card
        assert all(line == line.rstrip() and not line.startswith(" |") for line in card.split("\n"))
        assert card.endswith(".\n")


def test_a_rise_is_called_a_rise(inputs: CardInputs) -> None:
    text = section(render_card(with_measure(inputs, base=20.0, tuned=25.0, interval=(4.0, 6.0))), "Evaluation")
    assert "rose from 20.00 to 25.00 (+25.0%)" in text
    assert "worse than the base model" in text


@pytest.mark.parametrize(("tuned", "worse"), [(0.9, False), (0.4, True), (0.6, False)])
def test_a_classifier_is_worse_when_its_accuracy_falls(inputs: CardInputs, tuned: float, worse: bool) -> None:
    data = inputs.data.model_copy(update={"labels": ["a", "b"]})
    measured = with_measure(inputs, name="accuracy", base=0.6, tuned=tuned, interval=None)

    text = section(render_card(replace(measured, data=data)), "Evaluation")

    assert ("worse than the base model" in text) == worse


def test_values_that_show_the_same_did_not_change(inputs: CardInputs) -> None:
    text = section(render_card(with_measure(inputs, base=20.001, tuned=20.002, interval=(-0.1, 0.1))), "Evaluation")
    assert "did not change: it is 20.00" in text
    assert "includes zero" in text


def test_an_interval_without_zero_is_not_called_inconclusive(inputs: CardInputs) -> None:
    assert "includes zero" not in render_card(inputs)


def test_a_missing_base_value_is_said(inputs: CardInputs) -> None:
    card = render_card(with_measure(inputs, base=None, interval=None))
    assert "| Perplexity | not measured | 27.40 | \N{EN DASH} | 251 | 10,736 |" in card
    assert "The base model was not measured." in card


def test_too_few_rows_give_values_and_no_claim(bare: CardInputs) -> None:
    card = render_card(bare)
    assert "| Perplexity | insufficient data (see Evaluation) |" in card
    assert "| Perplexity | 41.51 | 33.92 |" in card
    assert " fell " not in card
    assert "model-index" not in card


def test_a_failed_measure_says_why_and_leaves_the_metadata(inputs: CardInputs) -> None:
    card = render_card(with_measure(inputs, tuned=None, interval=None, status="failed", detail="out of memory"))
    assert "Perplexity: failed (out of memory)." in card
    assert "model-index" not in card


def test_without_any_measure_evaluation_is_not_assessed(inputs: CardInputs) -> None:
    none = replace(inputs, evaluation=inputs.evaluation.model_copy(update={"measures": []}))
    assert "Not assessed: no measure was run." in section(render_card(none), "Evaluation")


def test_a_gated_base_is_said_before_the_program(inputs: CardInputs) -> None:
    pins = inputs.pins.model_copy(update={"base": inputs.pins.base.model_copy(update={"gated": "manual"})})
    text = section(render_card(replace(inputs, pins=pins)), "How to use")
    assert "is gated: accept its conditions" in text.split("```")[0]


def test_an_evaluation_elsewhere_has_its_own_row_and_versions(inputs: CardInputs) -> None:
    elsewhere = inputs.evaluation.environment.model_copy(update={"device": "cpu", "packages": {"torch": "2.9.2"}})
    evaluation = inputs.evaluation.model_copy(update={"environment": elsewhere})
    text = section(render_card(replace(inputs, evaluation=evaluation)), "Provenance")
    assert "| Evaluation | cpu |" in text
    assert "| torch | 2.9.1 (evaluation: 2.9.2) |" in text


def test_a_sample_of_the_held_out_rows_is_said(inputs: CardInputs) -> None:
    held_out = inputs.data.held_out.model_copy(update={"left_out": 1200})
    changed = replace(inputs, data=inputs.data.model_copy(update={"held_out": held_out}))
    assert "1,200 held-out rows are neither trained on nor measured" in render_card(changed)
    assert "nor measured" not in render_card(inputs)


def test_an_undefined_name_in_a_template_is_an_error_that_names_both(inputs: CardInputs, tmp_path: Path) -> None:
    shutil.copytree(templates_dir(), tmp_path / "own")
    (tmp_path / "own" / "sections" / "making.md.j2").write_text("By {{ autor }}.")
    with pytest.raises(CardError, match=r"making\.md\.j2.*'autor' is undefined"):
        render_card(inputs, tmp_path / "own")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% if %}", r"making\.md\.j2, line 1"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ none }}", "do not have"),
        ("{% include 'gone.j2' %}", r"gone\.j2 is missing"),
    ],
)
def test_a_faulty_template_is_an_error(inputs: CardInputs, tmp_path: Path, text: str, message: str) -> None:
    shutil.copytree(templates_dir(), tmp_path / "own")
    (tmp_path / "own" / "sections" / "making.md.j2").write_text(text)
    with pytest.raises(CardError, match=message):
        render_card(inputs, tmp_path / "own")


def test_a_template_that_leaves_a_section_out_is_an_error(inputs: CardInputs, tmp_path: Path) -> None:
    shutil.copytree(templates_dir(), tmp_path / "own")
    (tmp_path / "own" / "sections" / "bias.md.j2").write_text("")
    with pytest.raises(CardError) as caught:
        render_card(inputs, tmp_path / "own")
    assert caught.value.details == ("section Bias: empty",)


def test_a_template_sees_its_own_section_alone(inputs: CardInputs, tmp_path: Path) -> None:
    shutil.copytree(templates_dir(), tmp_path / "own")
    (tmp_path / "own" / "sections" / "making.md.j2").write_text("{{ snippet }}")
    with pytest.raises(CardError, match="undefined"):
        render_card(inputs, tmp_path / "own")


def test_the_release_on_the_card_is_the_target_and_not_the_config(inputs: CardInputs) -> None:
    card = render_card(replace(inputs, target=ReleaseTarget("lab/other-lora", "v2.0.0")))
    assert "lab/other-lora" in card
    assert "org/quotes-lora" not in card


def test_a_classifier_s_confusion_is_a_table_of_its_classes(inputs: CardInputs) -> None:
    confusion = Confusion(side="tuned", classes=["sad", "gl|ad"], counts=[[1, 2], [3, 1234]])
    record = inputs.evaluation.model_copy(update={"confusions": [confusion]})

    card = render_card(replace(inputs, evaluation=record))

    assert "| | `sad` | `gl\\|ad` |\n|---|---:|---:|\n| `sad` | 1 | 2 |\n| `gl\\|ad` | 3 | 1,234 |\n" in card


def test_a_measure_stands_in_the_section_of_its_group(inputs: CardInputs) -> None:
    measure = inputs.evaluation.measures[0].model_copy(update={"name": "brevity", "group": "bias"})
    record = inputs.evaluation.model_copy(update={"measures": [*inputs.evaluation.measures, measure]})

    card = render_card(replace(inputs, evaluation=record))

    assert "| Brevity |" in card[card.index("## Bias") :]
    assert "Brevity" not in card[: card.index("## Bias")]
