"""A finished card is checked as a whole: every fault at once, each with its place."""

import pytest

from hubtune.card.check import check_card
from hubtune.card.inputs import CardInputs
from hubtune.card.render import render_card
from hubtune.errors import CardError


def faults(card: str) -> tuple[str, ...]:
    with pytest.raises(CardError) as caught:
        check_card(card)
    return caught.value.details


@pytest.fixture
def card(inputs: CardInputs) -> str:
    return render_card(inputs)


def test_a_rendered_card_passes(card: str) -> None:
    check_card(card)


def test_windows_line_ends_pass(card: str) -> None:
    check_card(card.replace("\n", "\r\n"))


def test_a_misspelt_key_is_named_with_what_it_may_have_meant(card: str) -> None:
    assert "front matter: licence: there is no such key; did you mean license?" in faults(
        card.replace("\nlicense:", "\nlicence:")
    )


def test_all_faults_come_at_once(card: str) -> None:
    broken = (
        card.replace("license: mit", "license: mti")
        .replace("> Most quoted authors are men who wrote in English.", "TODO")
        .replace("The author states:\n\n", "")
        .replace("## Provenance", "## Origin")
    )
    assert faults(broken) == (
        "front matter: license: 'mti' is not a license identifier of the Hub; did you mean mit?",
        "section Bias: placeholder 'TODO'",
        "section Provenance: missing",
    )


def test_an_empty_section_is_a_fault(card: str) -> None:
    begin = card.index("## Bias") + len("## Bias")
    end = card.index("## Risks")
    assert faults(card[:begin] + "\n\n" + card[end:]) == ("section Bias: empty",)


def test_headings_alone_do_not_fill_a_section(card: str) -> None:
    begin = card.index("## Bias") + len("## Bias")
    end = card.index("## Risks")
    assert faults(card[:begin] + "\n\n### More\n\n" + card[end:]) == ("section Bias: empty",)


def test_a_heading_in_code_is_no_section(card: str) -> None:
    assert "section Provenance: missing" in faults(card.replace("## Provenance", "```\n## Provenance\n```"))


@pytest.mark.parametrize("front", ["", "---\na: [\n---\n", "---\n- x\n---\n", "---\n\n---\n"])
def test_front_matter_that_cannot_be_read_is_a_fault(card: str, front: str) -> None:
    body = card[card.index("\n# ") :]
    assert any(fault.startswith("front matter:") for fault in faults(front + body))


def test_an_examples_name_in_the_metadata_is_a_fault(card: str) -> None:
    changed = card.replace("base_model: openai-community/gpt2-medium", "base_model: your-org/gpt2-medium")
    assert faults(changed) == ("front matter: base_model: 'your-org/gpt2-medium' is an example's name",)
