"""Text and numbers as they are printed."""

import pytest
from markdown_it import MarkdownIt

from hubtune.card.markdown import Markdown, cell, code, text, to_markdown
from hubtune.card.wording import (
    counted,
    duration,
    measure,
    measure_name,
    moment,
    percent,
    plain,
    signed,
    signed_percent,
    thousands,
)
from hubtune.errors import CardError

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "*a*",
        "_a_ b_c",
        "[a](b)",
        "<b>",
        "&amp;",
        "# a",
        "- a",
        "1. a",
        "+ a",
        "===",
        "~~a~~",
        "`a`",
        "\\*",
        "a|b",
        "3.11.9",
        "-12",
    ],
)
def test_escaped_text_reads_as_it_was(value: str) -> None:
    tokens = MARKDOWN.parse(text(value))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(child.content for child in tokens[1].children or []) == value


@pytest.mark.parametrize("value", ["a", "`", "``a`", "a`", "a|b", "<b>", " x ", "\\"])
def test_code_reads_as_it_was_in_text_and_in_tables(value: str) -> None:
    for line in (code(value), f"| a |\n|---|\n| {cell(value)} |"):
        spans = [
            child.content
            for token in MARKDOWN.parse(line)
            for child in token.children or []
            if child.type == "code_inline"
        ]
        assert spans == [value.strip()]


def test_names_and_versions_stay_readable_in_the_source() -> None:
    assert text("Linux-6.8-x86_64") == "Linux-6.8-x86_64"
    assert text("5.20.0") == "5.20.0"


def test_what_is_made_of_markdown_is_escaped_again() -> None:
    assert to_markdown(Markdown("*a*")) == "*a*"
    assert to_markdown(Markdown("*a*") + "*b*") == "\\*a\\*\\*b\\*"


def test_no_value_is_an_error() -> None:
    with pytest.raises(CardError):
        to_markdown(None)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (thousands(1234567), "1,234,567"),
        (measure(38.2113), "38.21"),
        (measure(3.24711), "3.247"),
        (measure(123.456), "123.5"),
        (measure(12345.6), "12,346"),
        (signed(-10.8078, 27.4), "\N{MINUS SIGN}10.81"),
        (signed(0.5, 27.4), "+0.50"),
        (signed(-0.001, 27.4), "0.00"),
        (percent(0.0088), "0.88%"),
        (percent(0.0001), "0.010%"),
        (percent(0.5), "50.0%"),
        (signed_percent(-0.28284), "\N{MINUS SIGN}28.3%"),
        (signed_percent(0.25), "+25.0%"),
        (plain(2e-4), "0.0002"),
        (plain(1e-6), "1e-06"),
        (plain(32.0), "32"),
        (duration(7.25), "7.2 s"),
        (duration(59.99), "1 min 0 s"),
        (duration(127.4), "2 min 7 s"),
        (duration(12_000), "3 h 20 min"),
        (moment("2026-01-31T13:00:30+01:00"), "2026-01-31 12:00 UTC"),
        (moment("yesterday"), "yesterday"),
        (counted(1, "row"), "1 row"),
        (counted(98_765, "row"), "98,765 rows"),
        (counted(2, "person", "people"), "2 people"),
    ],
)
def test_numbers_have_the_digits_that_count(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("counterfactual_gap_gender", "Counterfactual gap, gender"),
        ("counterfactual_gap_abs_gender", "Counterfactual gap, gender (absolute)"),
        ("counterfactual_gap_my_axis", "Counterfactual gap, my axis"),
        ("personal_data_ip_address", "Personal data, ip address"),
        ("memorisation_held_out", "Memorization, held-out rows"),
        ("token_accuracy", "Token accuracy"),
        ("somebodys_own", "Somebodys own"),
    ],
)
def test_a_measure_has_a_name_for_people(name: str, expected: str) -> None:
    assert measure_name(name) == expected
