"""The release's licence: the base model's, the author's, or said to be unknown; never made up."""

from dataclasses import replace

import pytest

from hubtune.card.inputs import CardInputs
from hubtune.card.licenses import choose_license
from hubtune.card.render import render_card


def with_base(inputs: CardInputs, license: str | list[str] | None) -> CardInputs:
    base = inputs.pins.base.model_copy(update={"license": license})
    return replace(inputs, pins=inputs.pins.model_copy(update={"base": base}))


def with_choice(inputs: CardInputs, license: str) -> CardInputs:
    card = inputs.config.card.model_copy(update={"license": license})
    return replace(inputs, config=inputs.config.model_copy(update={"card": card}))


@pytest.mark.parametrize(
    ("stated", "license", "source"),
    [
        ("mit", "mit", "base"),
        (["mit"], "mit", "base"),
        ("Apache-2.0", "apache-2.0", "base"),
        (None, "unknown", "base-silent"),
        ([], "unknown", "base-silent"),
        (" ", "unknown", "base-silent"),
        ("my-own-terms", "other", "base-unlisted"),
        (["mit", "apache-2.0"], "other", "base-several"),
        ("other", "other", "base"),
    ],
)
def test_auto_follows_the_base(inputs: CardInputs, stated: str | list[str] | None, license: str, source: str) -> None:
    changed = with_base(inputs, stated)
    choice = choose_license(changed.config, changed.pins)
    assert (choice.id, choice.source) == (license, source)
    assert f"This release states `{license}`" in render_card(changed)


def test_the_authors_choice_wins_and_is_called_the_authors(inputs: CardInputs) -> None:
    changed = with_choice(inputs, "cc-by-4.0")
    assert choose_license(changed.config, changed.pins).id == "cc-by-4.0"
    assert "This release states `cc-by-4.0`, which its author chose." in render_card(changed)


def test_compatibility_is_never_claimed(inputs: CardInputs, bare: CardInputs) -> None:
    for card in (render_card(inputs), render_card(bare)):
        assert "**Compatibility: not assessed.**" in card
        assert "This is not legal advice." in card
