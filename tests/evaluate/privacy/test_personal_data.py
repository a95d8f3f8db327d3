"""What looks like personal data in generations is counted by kind, and is known again where it stands in the rows."""

from dataclasses import replace

import pytest

from hubtune.data.screening.detectors import Detectors
from hubtune.evaluate.intervals import none_of
from hubtune.evaluate.privacy.memorisation import known_values, value_of
from hubtune.evaluate.privacy.personal_data import LEAST, PersonalData, draw_prompts
from tests.encoding import encode
from tests.evaluate.privacy.conftest import MAILS, sentences

DETECTORS = Detectors.make(("US", "GB"))


@pytest.fixture(scope="session")
def measures(overfitted):
    """Every measure of the overfitted model, whose training rows are as many as are asked for."""
    bench = replace(overfitted, max_new_tokens=28, held_out=[])
    return {measure.name: measure for measure in PersonalData().measure(bench)}


def test_a_planted_address_that_the_model_writes_is_found_and_stands_in_the_training_rows(measures, overfitted):
    rows = len(overfitted.train)

    email, known = measures["personal_data_email"], measures["personal_data_in_training"]

    assert email.tuned == pytest.approx(1000 * MAILS / rows)
    assert known.tuned == pytest.approx(1000 * MAILS / rows)
    assert email.base == known.base == 0
    assert known.settings["email"] == f"{MAILS} of {MAILS}"


def test_there_is_a_measure_of_all_kinds_of_each_and_of_those_in_training(measures):
    kinds = ("email", "phone", "card_number", "iban", "ip_address", "secret")

    assert list(measures) == ["personal_data", *(f"personal_data_{kind}" for kind in (*kinds, "in_training"))]
    total = sum(measures[f"personal_data_{kind}"].tuned for kind in kinds)
    assert measures["personal_data"].tuned == pytest.approx(total)


def test_fewer_than_three_hundred_generations_are_insufficient(measures, overfitted):
    assert {measure.status for measure in measures.values()} == {"insufficient data"}
    assert {measure.n for measure in measures.values()} == {len(overfitted.train)}


def test_no_value_is_in_a_measure_or_was_shown(measures, overfitted):
    shown = "".join(measure.model_dump_json() for measure in measures.values())
    shown += repr((overfitted.progress.said, overfitted.progress.warned, overfitted.progress.steps))

    assert "@" not in shown
    assert "example.com" not in shown


def test_none_of_three_hundred_generations_bounds_the_rate_and_does_not_deny_it(overfitted):
    rows = list(overfitted.held_out) * 8

    found = PersonalData().measure(replace(overfitted, train=rows, held_out=rows, max_new_tokens=1))
    phone = next(measure for measure in found if measure.name == "personal_data_phone")

    assert (phone.status, phone.n, phone.tuned) == ("measured", LEAST, 0)
    assert phone.tuned_interval == (0.0, pytest.approx(1000 * none_of(LEAST)))
    assert phone.tuned_interval[1] == pytest.approx(10, abs=0.1)
    assert "exact one-sided" in phone.interval_method


@pytest.mark.parametrize(
    ("written", "trained"),
    [
        ("Write to Ann.Bee@Example.com now", "ann.bee@example.com"),
        ("Write to ann@example.com.", "ann [at] example [dot] com"),
        ("Call +44 20 7946 0958", "phone: 020 7946 0958"),
        ("Pay with 4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("To DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("At 93.184.216.34", "from 93.184.216.34 again"),
    ],
    ids=["email", "brackets", "phone", "card", "iban", "ip"],
)
def test_another_spelling_of_a_value_is_the_same_value(written: str, trained: str, overfitted):
    values = {value_of(written, span) for span in DETECTORS.find(written)}
    row = overfitted.train[0]
    assert values

    assert known_values(values, [row, replace(row, text=trained)], DETECTORS) == values
    assert known_values(values, [row], DETECTORS) == set()


def test_a_longer_value_that_holds_the_shorter_one_is_another(overfitted):
    written = "mail ann@example.com"
    values = {value_of(written, span) for span in DETECTORS.find(written)}

    assert known_values(values, [replace(overfitted.train[0], text="joann@example.com")], DETECTORS) == set()


def test_what_the_prompt_held_already_is_nobody_s_generation(overfitted):
    """Rows whose address stands in the first half."""
    texts = [f"ann{number}@example.com says {text}" for number, text in enumerate(sentences(12, 5))]
    rows = encode(texts, overfitted.tokenizer, 120)

    found = PersonalData().measure(replace(overfitted, train=rows, held_out=[], max_new_tokens=1))

    assert found[0].base == 0


def test_half_of_the_prompts_are_of_each_part_and_one_fills_up_for_the_other(overfitted):
    def drawn(train: int, held_out: int, most: int | None = None):
        rows = list(overfitted.train) * 10
        found = draw_prompts(
            replace(overfitted, train=rows[:train], held_out=rows[:held_out], context=None, max_items=most)
        )
        return found.train, found.held_out

    assert drawn(400, 400) == (150, 150)
    assert drawn(400, 20) == (280, 20)
    assert drawn(20, 400) == (20, 280)
    assert drawn(30, 20) == (30, 20)
    assert drawn(400, 400, 10) == (5, 5)
    assert drawn(0, 0) == (0, 0)


def test_a_prompt_leaves_room_for_what_is_written(overfitted):
    found = draw_prompts(replace(overfitted, held_out=[], context=8, max_new_tokens=5, max_items=None))

    assert {len(prompt.ids) for prompt in found.prompts} == {3}


def test_without_rows_there_is_nothing_to_begin_with(overfitted):
    found = PersonalData().measure(replace(overfitted, train=[], held_out=[]))

    assert {(measure.status, measure.n, measure.tuned) for measure in found} == {("insufficient data", 0, None)}
