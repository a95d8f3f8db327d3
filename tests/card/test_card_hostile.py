"""Text from data, metadata and config cannot become structure: the card's outline stays the same, whatever it says."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hubtune.card.inputs import CardInputs
from hubtune.card.metadata import read_front_matter
from hubtune.card.render import render_card
from hubtune.errors import CardError
from hubtune.metadata.front_matter import split_card

HOSTILE = [
    "{{ 7*7 }}",
    "{% for x in y %}",
    "a|b|c",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "x\n\n# Owned\n\ny",
    "x\n---\ny",
    "```\n# Owned",
    "`code` ` <b> `` </b>",
    "[click](https://evil.example)",
    "![i](https://evil.example/i.png)",
    "*a* _b_ ~~c~~ $x$ \\",
    "no",
    "1e3",
    "key: value # comment",
    "'\"",
    "\u202eevil\u202c \x1b[31m",
    "- x",
    "1. x",
    "&lt;b&gt; &amp;",
    "",
]


def tokens(card: str) -> list[Token]:
    parsed = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(split_card(card)[1])
    return parsed + [child for token in parsed for child in token.children or []]


def outline(card: str) -> list[str]:
    """The tags of the blocks with the headings' texts: what a reader's eye sees as the page's structure."""
    found = MarkdownIt("commonmark", {"html": True}).enable("table").parse(split_card(card)[1])
    return [
        f"{token.type} {found[place + 1].content if token.type == 'heading_open' else ''}"
        for place, token in enumerate(found)
        if token.nesting >= 0 and token.type != "inline"
    ]


def links(card: str) -> set[object]:
    return {token.attrs.get("href") for token in tokens(card) if token.type == "link_open"}


def is_harmless(card: str) -> bool:
    """Whether there is no raw HTML, and no picture but the card's own."""
    pictures = {token.attrs["src"] for token in tokens(card) if token.type == "image"}
    raw = any(token.type in ("html_block", "html_inline") for token in tokens(card))
    return not raw and pictures <= {"images/loss.png", "images/evaluation.png"}


def poisoned(inputs: CardInputs, text: str) -> CardInputs:
    """Puts the text wherever a dataset's or a base's owner, or a machine, has a say."""
    source = inputs.data.sources[0].model_copy(
        update={
            "split": text or "x",
            "template": text,
            "name": text or "x",
            "dropped": {text: 3},
            "prompt": text or None,
            "languages": [text, "no"],
        }
    )
    pin = {"license": text or "x", "requested": text}
    environment = inputs.training.environment.model_copy(
        update={"device": text, "platform": text, "packages": {text: text}}
    )
    measure = inputs.evaluation.measures[0].model_copy(
        update={"interval_method": text, "detail": text or "x", "split": text}
    )
    return replace(
        inputs,
        pins=inputs.pins.model_copy(
            update={
                "base": inputs.pins.base.model_copy(update=pin),
                "data": [inputs.pins.data[0].model_copy(update=pin)],
            }
        ),
        data=inputs.data.model_copy(update={"sources": [source], "split_method": text}),
        training=inputs.training.model_copy(update={"environment": environment, "target_modules": [text, text]}),
        evaluation=inputs.evaluation.model_copy(update={"measures": [measure], "environment": environment}),
    )


OWN_LINKS = {
    "https://arxiv.org/abs/2106.09685",
    "https://arxiv.org/abs/2001.08361",
    "https://docs.vllm.ai",
    "https://huggingface.co/org/quotes-lora/discussions",
    "LICENSE",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_others_does_not_change_the_structure(inputs: CardInputs, text: str) -> None:
    if "{{" in text or "{%" in text:
        # Outside code, where a machine's or a library's words stand, this reads as a template left unfilled.
        with pytest.raises(CardError, match="not valid"):
            render_card(poisoned(inputs, text))
        return
    card = render_card(poisoned(inputs, text))
    assert outline(card) == outline(render_card(poisoned(inputs, "plain")))
    assert links(card) == OWN_LINKS
    assert is_harmless(card)
    # The metadata has to keep the values; what a reader sees has not.
    assert not {"\x1b", "\u202e"} & set(split_card(card)[1])


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% for x in y %}"])
def test_template_syntax_in_metadata_is_shown_and_not_run(inputs: CardInputs, text: str) -> None:
    source = inputs.data.sources[0].model_copy(update={"split": text, "template": text})
    pin = inputs.pins.data[0].model_copy(update={"license": text})
    hostile = replace(
        inputs,
        data=inputs.data.model_copy(update={"sources": [source]}),
        pins=inputs.pins.model_copy(update={"data": [pin]}),
    )
    card = render_card(hostile)
    assert "49" not in card.replace("4912", "")
    assert card.count(f"`{text}`") >= 4


STATEMENTS = [
    "<script>alert(1)</script>",
    "a\n<div>\nb",
    "# Owned",
    "a\n===",
    "a\n---",
    "- # Owned",
    "1. ## Owned",
    "> # Owned",
    "```\nnever closed\n# in code",
    "~~~",
    "x ` y\nz ` <script> ` w",
    "x ` y\n\u00a0\nz ` <script> ` w",
    "\\` ` <b> `",
    "\\\\` a ` <b> `",
    "- ```\n\n` <b> `",
    "<!-- hidden -->",
    "a|b\n-|-\n<i>c</i>|d",
    "![x](https://evil.example/x.png)"[1:],
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_stays_in_its_quotation(inputs: CardInputs, statement: str) -> None:
    config = inputs.config.model_copy(
        update={"card": inputs.config.card.model_copy(update={"intended_use": statement, "bias": statement})}
    )
    card = render_card(replace(inputs, config=config))
    headings = [line for line in outline(card) if line.startswith("heading_open")]
    assert headings == [line for line in outline(render_card(inputs)) if line.startswith("heading_open")]
    assert is_harmless(card)


def test_a_statement_shows_html_as_text_and_keeps_code_as_it_is(inputs: CardInputs) -> None:
    statement = "Never <b>use</b> `<s>` for *that*.\n\n```html\n<p># x</p>\n```"
    config = inputs.config.model_copy(update={"card": inputs.config.card.model_copy(update={"ethics": statement})})
    card = render_card(replace(inputs, config=config))
    assert "> Never &lt;b>use&lt;/b> `<s>` for *that*.\n>\n> ```html\n> <p># x</p>\n> ```" in card


@pytest.mark.parametrize("text", HOSTILE[2:])
def test_metadata_survives_hostile_values(inputs: CardInputs, text: str) -> None:
    metadata, faults = read_front_matter(render_card(poisoned(inputs, text)))
    assert faults == []
    assert metadata is not None
    assert metadata.model_index is not None
    dataset = metadata.model_index[0].results[0].dataset
    assert dataset.split == (text or "x")
    assert dataset.config == (text or "x")
    assert metadata.language == ["no"] or text == "no"
