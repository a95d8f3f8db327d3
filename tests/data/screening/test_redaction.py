"""A redacted text has nothing left of what was taken out, and all the rest."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubtune.config.data import PERSONAL_KINDS
from hubtune.data.screening.detectors import Detectors, by_kind
from hubtune.data.screening.spans import PLACEHOLDERS, Span, redact
from tests.data.screening.labelled.marks import SETS, unmarked

DETECTORS = Detectors.make(["US", "GB"])
PRESENT = [unmarked(marked)[0] for module in SETS.values() for marked in module.PRESENT]
# Pieces of findings beside each other make what no labeled text has.
PIECES = st.sampled_from(
    [piece for text in PRESENT for piece in (text, text[: len(text) // 2], text[len(text) // 2 :])]
)
TEXTS = st.one_of(
    st.lists(st.one_of(PIECES, st.sampled_from([" ", "@", ":", ".", "-", "+1 ", "=", "\n", "://"])), max_size=8).map(
        "".join
    ),
    st.text(st.sampled_from("aZ5@.:-+=/ [](%\n0é"), max_size=60),
    st.text(max_size=60),
)


@given(TEXTS, st.sets(st.sampled_from(PERSONAL_KINDS)))
@example("password=anna@example.com", {"secret", "email"})
def test_nothing_of_a_redacted_kind_is_found_again(text: str, kinds: set):
    left = by_kind(DETECTORS.find(DETECTORS.redact(text, kinds)))
    assert not kinds & set(left)


@given(TEXTS)
def test_findings_lie_within_the_text_and_those_of_one_kind_apart(text: str):
    found = DETECTORS.find(text)
    assert all(0 <= span.start < span.end <= len(text) for span in found)
    for kind in PERSONAL_KINDS:
        own = [span for span in found if span.kind == kind]
        assert all(one.end <= other.start for one, other in pairwise(own))


@given(TEXTS)
def test_a_number_is_not_two_things(text: str):
    found = DETECTORS.find(text)
    phones = [span for span in found if span.kind == "phone"]
    assert not any(one.overlaps(other) for one in phones for other in found if other.kind in ("iban", "card_number"))


@given(TEXTS)
def test_redacting_nothing_changes_nothing(text: str):
    assert DETECTORS.redact(text, []) == text


@pytest.mark.parametrize("kind", SETS)
def test_what_stands_around_a_value_stays(kind: str):
    for marked in SETS[kind].PRESENT:
        text, places = unmarked(marked)
        if {(span.start, span.end) for span in DETECTORS.find(text) if span.kind == kind} == places:
            pieces = [piece.rpartition("⟧")[2] for piece in marked.split("⟦")]
            assert DETECTORS.redact(text, [kind]) == PLACEHOLDERS[kind].join(pieces)


def test_of_overlapping_findings_nothing_is_left():
    spans = [Span(2, 6, "email"), Span(4, 9, "secret"), Span(10, 12, "phone")]
    assert redact("ab" + "EEEESSS" + " " + "PP" + " z", spans) == "ab[SECRET] [PHONE] z"


def test_a_placeholder_is_no_finding():
    for before in ("", "password=", "call ", "token: ", "https://a:", "IBAN "):
        for placeholder in PLACEHOLDERS.values():
            assert DETECTORS.find(f"{before}{placeholder}@example") == []
