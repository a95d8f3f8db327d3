"""The card's pictures: made of the records, the same each time, with words for those who cannot see them."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hubtune.card.inputs import CardInputs
from hubtune.card.plots import render_pictures
from hubtune.card.render import render_card
from tests.sample_cards import CARDS


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_shows_just_the_pictures_that_are_made_each_with_words(kind: str) -> None:
    inputs = CARDS[kind]()
    shown = dict(re.findall(r"^!\[(.*)\]\((.*)\)$", render_card(inputs), re.MULTILINE))

    assert sorted(shown.values()) == sorted(render_pictures(inputs))
    assert all(len(words) > 20 for words in shown)


def test_the_same_records_give_the_same_bytes(inputs: CardInputs) -> None:
    assert render_pictures(inputs) == render_pictures(inputs)


def test_other_losses_give_another_picture(inputs: CardInputs) -> None:
    training = inputs.training.model_copy(update={"losses": inputs.training.losses[:10]})
    before, after = render_pictures(inputs), render_pictures(replace(inputs, training=training))

    assert [path for path in before if before[path] != after[path]] == ["images/loss.png"]


def test_without_a_curve_or_a_pair_of_values_there_is_no_picture(inputs: CardInputs) -> None:
    measure = inputs.evaluation.measures[0].model_copy(update={"base": None, "interval": None})
    silent = replace(
        inputs,
        training=inputs.training.model_copy(update={"losses": inputs.training.losses[:1]}),
        evaluation=inputs.evaluation.model_copy(update={"measures": [measure]}),
    )
    assert render_pictures(silent) == {}
    assert "![" not in render_card(silent)


def relative_luminance(pixels: np.ndarray) -> np.ndarray:
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("ground", [1.0, 0.04], ids=["light", "dark"])
def test_pictures_stand_out_on_a_light_and_on_a_dark_page(inputs: CardInputs, ground: float) -> None:
    """Their background is the page's; what they draw has the contrast that WCAG 2.2 asks of graphics, 3 to 1."""
    for content in render_pictures(inputs).values():
        image = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"), dtype=float) / 255
        assert (image[..., 3] == 0).mean() > 0.5
        drawn = image[image[..., 3] == 1][:, :3]
        contrast = (relative_luminance(drawn) + 0.05) / (relative_luminance(np.full(3, ground)) + 0.05)
        assert np.minimum(contrast, 1 / contrast).max() <= 1 / 3
