"""Cards made of hostile text, in a real browser: the metadata keep, nothing runs, and the page stays the page."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from hubtune.card.inputs import CardInputs
from hubtune.card.licensing.decision import decide
from hubtune.card.plots import render_pictures
from hubtune.card.render import render_card
from hubtune.config.schema import STATEMENTS, AcceptedLicense
from hubtune.errors import CardError
from hubtune.metadata.front_matter import split_card
from hubtune.pipeline.page_server import write_preview
from tests.browser import visit
from tests.pages.hostile import HOSTILE
from tests.sample_cards import BASE_COMMIT, DATA_COMMIT, GPT2, QUOTES, license_of, make_inputs

OWN = {
    "yaml: a key of its own": "x\nlicense: cc0-1.0",
    "yaml: end of the front matter": "x\n---\nlicense: cc0-1.0\n---\n",
    "yaml: document markers": "...\n--- !!python/object/apply:os.system ['true']",
    "yaml: tag": "!!python/object/apply:os.system ['true']",
    "yaml: anchor and alias": "&a [*a, *a]",
    "yaml: merge key": "<<: {license: cc0-1.0}",
    "yaml: flow": "{license: cc0-1.0}",
    "yaml: comment": "x # license: cc0-1.0",
    "yaml: quotes": "'\"\\",
    "yaml: boolean of version 1.1": "no",
    "yaml: number": "1e3",
    "yaml: null": "~",
    "markdown: heading": "x\n\n# Owned\n\n## Licensing\n\nfree",
    "markdown: setext heading": "x\n===\ny\n---",
    "markdown: table": "a | b |\n|---|---|\n| c | d",
    "markdown: fence": "```\n# Owned\n",
    "markdown: long fence": "``````````\n# Owned\n~~~~~~~~\n",
    "markdown: run of backticks": "`" * 200 + " x " + "`" * 199,
    "markdown: lists": "- a\n  - b\n1. c",
    "markdown: quotation": "> a\n>> b",
    "markdown: link reference": "[LICENSE]: https://evil.example\n\n[LICENSE]",
    "markdown: footnote": "[^1]\n\n[^1]: https://evil.example",
    "markdown: emphasis": "*a* _b_ ~~c~~ **d",
    "markdown: entities": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;b&#62;",
    "markdown: mathematics": "$x$ $$\\href{javascript:alert(1)}{y}$$",
    "template: expression": "{{ 7*7 }}",
    "template: statement": "{% for x in [1] %}owned{% endfor %}",
    "template: escape of the sandbox": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "template: import": "{% import 'os' as os %}{{ os }}",
    "template: python's format": "{0.__class__} {author.__init__.__globals__}",
    "controls: terminal": "\x1b[31mred\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "controls: bell, back space and delete": "a\x07\x08\x7f\x00b",
    "controls: direction": "\u202eevil\u202c \u2066x\u2069",
    "controls: line separators": "a\u2028b\u2029c\x85d\x0be\x0cf\r\ng",
    "controls: zero width": "a\u200bb\ufeffc",
    "huge: one line": "A" * 200_000,
    "huge: many lines": "line\n" * 20_000,
    "huge: brackets": "[" * 20_000,
    "huge: stars": "*a " * 10_000,
    "empty": "",
}
TEXTS = {**OWN, **{f"html: {name}": text for name, text in HOSTILE.items() if len(text) < 2000}}
FORBIDDEN = "script, iframe, form, object, embed, base, link, meta, video, audio"
CLEAN = """() => [...document.querySelectorAll('.prose *')].every(e => [...e.attributes].every(
    a => !a.name.startsWith('on') && !/^\\s*(javascript|vbscript|data:text)/i.test(a.value)))"""


def poisoned(text: str, templates: Path) -> CardInputs:
    """Puts the text into rows, column names, repositories' metadata, what machines say, statements and a template."""
    inputs = make_inputs()
    source = inputs.data.sources[0].model_copy(
        update={
            "split": text or "x",
            "template": text,
            "name": text or "x",
            "dropped": {text: 3},
            "first_dropped": {text: 1},
            "prompt": text or None,
            "languages": [text, "en"],
            "held_out_split": text or "x",
            "group_by": text or "x",
            "separator": text or "x",
            "columns": {"text": text or "x"},
            "warnings": [text],
        }
    )
    environment = inputs.training.environment.model_copy(
        update={"device": text, "platform": text, "packages": {text: text}}
    )
    measure = inputs.evaluation.measures[0].model_copy(
        update={
            "interval_method": text,
            "detail": text or "x",
            "split": text,
            "settings": {"signature": text, "normalised": text},
        }
    )
    pin = {"license": ["mit", text], "requested": text}
    said = dict.fromkeys(STATEMENTS, text or "x")
    signed = AcceptedLicense(repo=QUOTES, reason=text[:60_000] or "x", by=text[:60_000] or "x")
    data = license_of(
        "data", QUOTES, DATA_COMMIT, text, license_name=text, license_link=text, files={"LICENSE": "0" * 64}
    )
    templates.mkdir()
    (templates / "own.md.j2").write_text("{{ config.card.bias }}\n\n{{ config.card.ethics|cell }}\n", encoding="utf-8")
    card = inputs.config.card.model_copy(update={**said, "templates": str(templates), "accept_license": [signed]})
    return replace(
        inputs,
        config=inputs.config.model_copy(update={"card": card}),
        pins=inputs.pins.model_copy(
            update={
                "base": inputs.pins.base.model_copy(update={"requested": text}),
                "data": [inputs.pins.data[0].model_copy(update=pin)],
            }
        ),
        data=inputs.data.model_copy(update={"sources": [source], "split_method": text}),
        training=inputs.training.model_copy(
            update={"environment": environment, "target_modules": [text], "added_tokens": [text or "x"]}
        ),
        evaluation=inputs.evaluation.model_copy(update={"measures": [measure], "environment": environment}),
        licenses=decide([license_of("base", GPT2, BASE_COMMIT, "mit"), data], accepted=[signed]),
    )


# What a card with such a text is refused for.
REFUSED = {
    **dict.fromkeys((name for name in OWN if name.startswith("template: ")), "holds the placeholder"),
    **dict.fromkeys((name for name in OWN if name.startswith("huge: ")), "characters together"),
    "html: javascript": "runs a script",
    "html: javascript in a picture": "runs a script",
    "html: javascript in markdown with an entity": "runs a script",
    "html: data markdown": "runs a script",
    **dict.fromkeys(
        (
            *("html: frameset", "html: form fields", "html: svg with foreign content", "html: mathml"),
            *("html: mutation by xmp", "html: mutation by form nesting", "html: plaintext"),
            "html: dialog over the page",
        ),
        "holds the placeholder",
    ),
}
del REFUSED["template: python's format"]
# Ids, digests, versions and choices, which have a form of their own; and the class names, which make another card.
FIXED = (
    "repo commit upstream fingerprint files file sha256 python precision version name chat_template method optimizer "
    "schedule started labels classes"
)


def fixed_metadata(card: str) -> dict[str, object]:
    """The front matter without the values that say what a dataset's owner called things."""
    front, _ = split_card(card)
    content = yaml.safe_load(front)
    content.pop("language")
    (entry,) = content.pop("model-index")
    (result,) = entry["results"]
    for key in ("name", "config", "split"):
        result["dataset"].pop(key)
    for metric in result["metrics"]:
        metric.pop("name")
    content["model-index"] = entry
    return json.loads(json.dumps(content))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    return render_card(poisoned("plain words", tmp_path_factory.mktemp("plain") / "templates"))


def headings(page) -> list[str]:
    return page.locator(".prose :is(h1, h2)").all_inner_texts()


def shown(page, card: str, inputs: CardInputs, folder: Path) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(card, encoding="utf-8")
    for path, content in render_pictures(inputs).items():
        (folder / path).write_bytes(content)
    write_preview(folder, folder / "page.html")
    page.set_content((folder / "page.html").read_text(encoding="utf-8"), wait_until="load")


def test_hostile_text_changes_no_metadata_runs_nothing_and_breaks_no_page(plain, browser, tmp_path, picked) -> None:
    names = [name for name in [*picked(list(OWN), 12), *picked(list(TEXTS)[len(OWN) :], 3)] if name not in REFUSED]
    with visit(browser, "about:blank") as seen:
        shown(seen.page, plain, make_inputs(), tmp_path / "plain")
        outline = headings(seen.page)
        assert len(outline) == 17
        for number, name in enumerate(names):
            folder = tmp_path / str(number)
            folder.mkdir()
            inputs = poisoned(TEXTS[name], folder / "templates")
            card = render_card(inputs)
            assert fixed_metadata(card) == fixed_metadata(plain), name
            asked = len(seen.requests)
            shown(seen.page, card, inputs, folder)
            assert [request for request in seen.requests[asked:] if not request.startswith("data:image/")] == [], name
            assert seen.console == [], name
            assert headings(seen.page) == outline, name
            assert seen.page.locator(f"body :is({FORBIDDEN})").count() == 0, name
            assert seen.page.evaluate(CLEAN), name
            assert seen.overflow <= 0, name
            assert seen.page.locator("body > footer").count() == 1, name


def test_text_that_reads_as_unfilled_links_to_a_script_or_is_too_long_is_refused(tmp_path, picked) -> None:
    for number, name in enumerate(picked(list(TEXTS), 24)):
        inputs = poisoned(TEXTS[name], tmp_path / str(number))
        if name in REFUSED:
            with pytest.raises(CardError) as caught:
                render_card(inputs)
            details = caught.value.details or [caught.value.message]
            assert [detail for detail in details if REFUSED[name] not in detail] == [], name
        else:
            assert render_card(inputs).startswith("---\nlanguage:"), name


def test_every_field_of_the_records_that_may_hold_text_is_poisoned(tmp_path) -> None:
    """So that a field that a record gains is thought of here too."""
    inputs = poisoned("MARK", tmp_path / "templates")
    records = models([inputs.pins, inputs.data, inputs.training, inputs.evaluation, inputs.licenses])
    fields = [(record, name, field) for record in records for name, field in type(record).model_fields.items()]
    texts = {(type(record).__name__, name) for record, name, field in fields if may_hold_text(field.annotation)}
    marked = {(type(record).__name__, name) for record, name, _ in fields if "MARK" in repr(getattr(record, name))}

    assert {name for kind, name in texts - marked if kind != "License"} == set(FIXED.split())


def models(value: object) -> Iterator[BaseModel]:
    """Every pydantic model in a value."""
    if isinstance(value, BaseModel):
        yield value
        value = [getattr(value, name) for name in type(value).model_fields]
    elif dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from models(inner)


def may_hold_text(annotation: object) -> bool:
    return annotation is str or any(may_hold_text(part) for part in get_args(annotation))
