"""Blanks are refused, with their place; words that only look like blanks are not."""

import pytest

from hubtune.card.check import check_statements
from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import find_placeholders
from hubtune.config.load import parse_config
from hubtune.errors import CardError

CONFIG = "base: {repo: a/b}\ndata: [{repo: c/d, text: quote}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "[More Information Needed]",
        "more information needed",
        "TODO: write this",
        "Bias: TBD.",
        "(FIXME)",
        "Lorem ipsum dolor",
        "{{ bias }}",
        "{% if x %}",
        "For <your purpose>.",
        "By <NAME>",
        "See your-username/my-model",
        "[insert use here]",
        "To be determined.",
    ],
)
def test_a_blank_is_found(text: str) -> None:
    assert find_placeholders(text)


@pytest.mark.parametrize(
    "text",
    [
        "Todo esto es para todos.",
        "A model for todo-lists and TODO-LIST apps",
        "Run `pip install TODO` or `<name>`.",
        "```\nTODO {{ x }}\n```",
        "a < b and c > d",
        "<b>bold</b>",
        "Insert the card, then your name.",
        "[your rights](https://example.org)",
        "METBDX",
    ],
)
def test_what_is_no_blank_passes(text: str) -> None:
    assert find_placeholders(text) == []


def test_all_blanks_of_a_config_are_named_with_their_keys() -> None:
    config = parse_config(
        CONFIG, ["card.bias=TODO", "card.ethics='[More Information Needed]'", "publish.repo=your-org/x"]
    )
    with pytest.raises(CardError) as caught:
        check_statements(config)
    assert sorted(caught.value.details) == [
        "card.bias holds the placeholder 'TODO'",
        "card.ethics holds the placeholder '[More Information Needed]'",
        "publish.repo is 'your-org/x', which is the name of an example; write your own",
    ]


def test_a_config_without_blanks_passes(inputs: CardInputs) -> None:
    check_statements(inputs.config)


def test_the_repository_of_the_command_line_is_looked_at_too(inputs: CardInputs) -> None:
    with pytest.raises(CardError):
        check_statements(inputs.config, "your-username/quotes-lora")


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        (
            "accept_license: {repo: org/x, reason: TODO, by: a desk}",
            "card.accept_license[0].reason holds the placeholder",
        ),
        ("contact: '[write](javascript:alert(1))'", "card.contact: the link"),
        (f"ethics: {'x' * 60_000}\n  risks: {'y' * 60_000}\n  bias: {'z' * 60_000}", "the statements have 180,0"),
    ],
    ids=["blank in a reason", "script", "length"],
)
def test_what_would_stop_the_card_is_found_before_training(section: str, fault: str) -> None:
    config = parse_config(f"base: {{repo: org/base}}\ndata: [{{repo: org/sayings, text: quote}}]\ncard:\n  {section}\n")
    with pytest.raises(CardError) as caught:
        check_statements(config)
    assert [detail.startswith(fault) for detail in caught.value.details] == [True]
