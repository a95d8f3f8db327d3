"""The author's own section templates replace or add a section, and can do nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.card import custom_templates
from hubtune.card.inputs import CardInputs
from hubtune.card.render import render_card
from hubtune.config.training import EarlierConfig
from hubtune.errors import CardError


@pytest.fixture
def with_templates(inputs: CardInputs, tmp_path: Path):
    """Returns the inputs with a folder of templates: name to text."""

    def make(**templates: str) -> CardInputs:
        for name, text in templates.items():
            (tmp_path / f"{name}.md.j2").write_text(text, encoding="utf-8")
        card = inputs.config.card.model_copy(update={"templates": str(tmp_path)})
        return replace(inputs, config=inputs.config.model_copy(update={"card": card}))

    return make


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0].split("\n---\n")[0].strip()


def test_a_template_with_a_sections_name_replaces_it_and_has_its_context(with_templates, inputs: CardInputs) -> None:
    card = render_card(with_templates(contact="Ask at {{ address }}. {{ statement is none }}"))

    assert section(card, "Contact").startswith("Ask at https://huggingface")
    assert section(card, "Bias") == section(render_card(inputs), "Bias")


def test_another_template_adds_a_section_with_the_records(with_templates) -> None:
    card = render_card(
        with_templates(data_sheet="### Rows\n\n{{ data.train.rows|thousands }} of {{ pins.data[0].repo|code }}")
    )

    assert section(card, "Data sheet") == "### Rows\n\n2,255 of `Abirate/english_quotes`"


def test_what_it_prints_is_escaped_unless_it_says_otherwise(with_templates) -> None:
    card = render_card(with_templates(own="{{ config.card.misuse }} {{ '<b>*x*</b>' }} {{ '`'|code }}"))

    assert "&lt;b&gt;\\*x\\*&lt;/b&gt;" in section(card, "Own")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ nothing.here }}", "undefined"),
        ("{% for x in %}", "line 1"),
        ("{% include 'sections/bias.md.j2' %}", "TemplateNotFound"),
        ("{% import 'os' as os %}", "TemplateNotFound"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ config.__init__.__globals__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os }}", "unsafe"),
        ("{{ self._TemplateReference__context }}", "unsafe"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "1 s of processor time"),
        ("{{ 'x' * (1024 ** 3) }}", "memory|MemoryError"),
        ("{{ range(10 ** 9)|list }}", "OverflowError|Range too big"),
        ("{% for i in range(30000) %}{{ i }} some words {% endfor %}", "more than 256 KiB"),
        (
            "{% set ns = namespace(x='a') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "512 MiB of memory",
        ),
        ("# Owned", "heading"),
        ("x\n===", "heading"),
        ("x\n---", "heading"),
        ("<script>alert(1)</script>", "raw HTML"),
        ("text <b>bold</b>", "raw HTML"),
        ("<!-- hidden -->", "raw HTML"),
    ],
)
def test_a_template_that_goes_too_far_is_refused(with_templates, monkeypatch, template: str, words: str) -> None:
    monkeypatch.setattr(custom_templates, "LIMITS", replace(custom_templates.LIMITS, seconds=1))
    with pytest.raises(CardError, match=f"(?s)template.*({words})"):
        render_card(with_templates(own=template))


def test_code_may_quote_html_and_headings(with_templates) -> None:
    card = render_card(with_templates(own="`<b>`\n\n```html\n# <i>\n```"))

    assert section(card, "Own") == "`<b>`\n\n```html\n# <i>\n```"


def test_a_section_cannot_be_emptied_or_left_with_a_blank(with_templates) -> None:
    with pytest.raises(CardError) as caught:
        render_card(with_templates(bias="{# nothing #}", ethics="TODO"))
    assert caught.value.details == ("section Ethics: placeholder 'TODO'", "section Bias: empty")


def test_what_licences_demand_cannot_be_left_out(with_templates) -> None:
    with pytest.raises(CardError, match="licenses demand"):
        render_card(with_templates(licensing="Trust me."))


@pytest.mark.parametrize("name", ["Bias", "my-section", "1st", "a b"])
def test_a_name_that_makes_no_title_is_refused(with_templates, name: str) -> None:
    with pytest.raises(CardError, match="name that cannot be used"):
        render_card(with_templates(**{name: "text"}))


def test_a_folder_that_is_not_there_is_named(with_templates, tmp_path: Path) -> None:
    inputs = with_templates(own="text")
    (tmp_path / "own.md.j2").unlink()
    tmp_path.rmdir()
    with pytest.raises(CardError, match="There is no folder"):
        render_card(inputs)


def test_a_huge_or_binary_template_is_refused(with_templates, tmp_path: Path) -> None:
    inputs = with_templates(own="x" * 70_000)
    with pytest.raises(CardError, match="longer than 64 KiB"):
        render_card(inputs)
    (tmp_path / "own.md.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(CardError, match="not text in UTF-8"):
        render_card(inputs)


def test_the_users_environment_and_files_are_out_of_reach(with_templates, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    card = render_card(with_templates(own="{{ config.keys()|sort|join(', ') }}"))

    assert "hf_secret" not in card
    assert section(card, "Own") == "base, card, data, earlier, evaluate, publish, rows, screen, sweep, train"


def test_where_earlier_data_lies_on_the_author_s_disk_is_out_of_reach(with_templates) -> None:
    inputs = with_templates(own="{{ config.earlier.data[0].keys()|sort|join(', ') }}")
    earlier = EarlierConfig.model_validate({"data": [{"path": "/home/ann/before.csv", "text": "quote"}]})

    card = render_card(replace(inputs, config=inputs.config.model_copy(update={"earlier": earlier})))

    assert "license, " in section(card, "Own")
    assert "path" not in section(card, "Own")
