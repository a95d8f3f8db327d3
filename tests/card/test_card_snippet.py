"""The usage example is a program: it parses, and no text can break out of its strings."""

import ast

import pytest

from hubtune.card.inputs import CardInputs
from hubtune.card.render import render_card
from hubtune.card.snippet import example_prompt, usage_snippet


def strings(code: str) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def calls(code: str) -> dict[str, ast.Call]:
    return {ast.unparse(node.func): node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}


def test_both_revisions_are_pinned(inputs: CardInputs) -> None:
    code = usage_snippet(inputs)
    found = strings(code)
    assert inputs.pins.base.commit in found
    assert "v1.0.0" in found
    for name in (
        "AutoTokenizer.from_pretrained",
        "AutoModelForCausalLM.from_pretrained",
        "PeftModel.from_pretrained",
    ):
        assert [keyword.arg for keyword in calls(code)[name].keywords] == ["revision"]


def test_the_card_holds_the_same_program(inputs: CardInputs) -> None:
    assert f"```python\n{usage_snippet(inputs)}```" in render_card(inputs)


def test_an_unpublished_adapter_is_loaded_from_its_folder(bare: CardInputs) -> None:
    code = usage_snippet(bare)
    assert "adapter" in strings(code)
    assert calls(code)["PeftModel.from_pretrained"].keywords == []
    assert "has not been published" in render_card(bare)


@pytest.mark.parametrize(
    "prompt",
    ['"', '")\nimport os', "\\", "```\n", "'''", "\u2028", "\x85", "\ud83d", "😀 é", "\x00", "{x}", "\u202eabc"],
)
def test_a_prompt_cannot_leave_its_string(inputs: CardInputs, change_source, prompt: str) -> None:
    changed = change_source(inputs, prompt=prompt)
    code = usage_snippet(changed)
    assert prompt in strings(code)
    assert len(code.split("\n")) == len(usage_snippet(inputs).split("\n"))
    assert f"\n{code.rstrip()}\n```" in render_card(changed)


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Quote by {author}: {quote}", "Quote by"),
        ("{quote}", "Once"),
        ("{{literal}} {quote}", "{literal}"),
        ("  {quote}", "Once"),
    ],
)
def test_without_a_prompt_the_template_begins_it(inputs: CardInputs, change_source, template: str, prompt: str) -> None:
    assert example_prompt(change_source(inputs, template=template, prompt=None)) == prompt
