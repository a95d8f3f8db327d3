"""The card tells what was looked for in the rows, how well, and what became of what was found."""

from dataclasses import replace

from hubtune.card.render import render_card
from tests.sample_cards import make_inputs, screened


def card(**changes: object) -> str:
    inputs = make_inputs()
    return render_card(replace(inputs, data=inputs.data.model_copy(update={"screen": screened(**changes)})))


def test_a_search_without_hits_does_not_say_that_there_is_nothing():
    text = card(rows=0, hits=0, per_thousand=0.0, dropped=0, redacted=0)
    assert "0 hits do not show that there is nothing to find" in text
    assert "no personal data" not in text.lower()
    assert "97.4% of 39 labels" in text
    assert "Names, postal addresses" in text


def test_contaminated_rows_that_were_trained_on_are_a_caveat():
    text = card(dropped=0)
    assert "4 training rows that repeat them were kept, so the results on these held-out rows may be too good" in text
    assert "may be too good" not in card()


def test_rows_that_nobody_screened_are_not_assessed():
    text = render_card(make_inputs())
    assert "**Personal data in the training rows.** Not assessed: the rows were not screened." in text
    assert "Repeated rows" not in text


def test_the_regions_of_telephone_numbers_are_named():
    inputs = make_inputs()
    for regions, words in (
        (["US", "DE"], "national numbers of US, DE"),
        ([], "libphonenumber, for international numbers;"),
    ):
        record = screened().model_copy(update={"phone_regions": regions})
        assert words in render_card(replace(inputs, data=inputs.data.model_copy(update={"screen": record})))
