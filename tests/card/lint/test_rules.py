"""Each rule finds what it is about, on its line, and nothing in a card that is in order."""

import pytest

from hubtune.card.lint import all_rules, lint_source
from hubtune.card.lint.card import CardSource
from tests.card.lint.cards import (
    APACHE,
    BASE_LINE,
    BODY,
    COMMIT,
    DATA_FRONT,
    FRONT,
    GOOD,
    GOOD_DATA,
    INDEX,
    LLAMA,
    MIT,
    STATED_LICENSE,
    Example,
    added,
    beside,
    body,
    card,
    files,
    front,
    plain,
)
from tests.card.lint.own import own

OTHER = "license_link: LICENSE\nlicense: other\nlicense_name: quotes-1.0\n"
LLAMA_CARD = card(FRONT.replace("license: mit", "license: llama3.2"))
BUILT = Example(LLAMA_CARD + "\nBuilt with Llama\n", source=CardSource(b"", inputs=(LLAMA,), name="Llama-quotes"))
LONG = "x" * 20_001

FAILING: dict[str, Example] = {
    "active-html": body('Text <script src="https://a.example/x.js"></script>'),
    "anchor-dead": body("See [the numbers](#the-numbers)."),
    "base-model-id": front("org/base", "a b c"),
    "base-model-missing": front("base_model: org/base\n", ""),
    "base-model-relation": added("base_model_relation: child"),
    "card-too-large": Example("", 1, CardSource(b"x" * 1_000_001)),
    "claim-without-number": plain("It is state-of-the-art."),
    "control-character": body("a\x07b"),
    "data-configs": added("configs: all", kind="dataset"),
    "datasets-id": front("[org/quotes]", "[a b]"),
    "direction-character": body("a\u202eb"),
    "evaluation-contradiction": own("| Perplexity | 38.21 | 27.40 |", "| Perplexity | 38.21 | 17.40 |"),
    "front-matter-duplicate-key": added("tags: [again]"),
    "front-matter-mapping": Example("---\n- a\n- b\n---\n# Card\n", 2),
    "front-matter-missing": Example(BODY, 1),
    "front-matter-yaml": Example("---\nlicense: mit\ntags: [a\n---\n# Card\n", 3),
    "image-alt": body("![](https://a.example/loss.png)"),
    "image-dead": body('<p>\n<img src="loss.png" alt="Loss">\n</p>', "<img", exists=files("README.md")),
    "image-insecure": body("![Loss](http://a.example/loss.png)"),
    "language-code": front("language: en", "language: English"),
    "library-name-missing": Example(card(FRONT.replace("library_name: peft\n", "")), 1),
    "license-display": Example(LLAMA_CARD, BASE_LINE, CardSource(b"", inputs=(LLAMA,))),
    "license-file": Example(card(), STATED_LICENSE, CardSource(b"", license_texts={"LICENSE": APACHE})),
    "license-id": front("license: mit", "license: MIT"),
    "license-inputs": Example(card(), STATED_LICENSE, CardSource(b"", inputs=(LLAMA,))),
    "license-link-dead": beside(front("license: mit\n", OTHER), exists=files("README.md")),
    "license-missing": Example(card(FRONT.replace("license: mit\n", "")), 1),
    "license-name-prefix": beside(BUILT, name="quotes"),
    "license-other-unnamed": front("license: mit", "license: other"),
    "link-dead": body("See [the plan](docs/plan.md).", exists=files("README.md")),
    "local-path": front("[org/quotes]", "[org/quotes, ./data/quotes]"),
    "long-line": body(LONG),
    "metadata-list": front("tags: [lora]", "tags: lora"),
    "metadata-text": front("pipeline_tag: text-generation", "pipeline_tag: [text-generation]"),
    "model-index-dataset": front(", name: Quotes", ""),
    "model-index-form": front("name: Quotes", "name: Quotes, config: null"),
    "model-index-revision": front(COMMIT, "main"),
    "model-index-task": front("  - task: {type: text-generation}\n    dataset", "  - dataset"),
    "model-index-unshown": front("27.4035", "17.4035"),
    "model-index-value": front("27.4035", ".nan"),
    "not-utf8": Example("", 3, CardSource(b"---\n---\na\xffb\n")),
    "pipeline-tag-missing": Example(card(FRONT.replace("pipeline_tag: text-generation\n", "")), 1),
    "placeholder": body("[More Information Needed]"),
    "placeholder-id": front("org/base", "your-username/base"),
    "script-link": body('<a href="java&#115;cript:alert(1)">Open</a>'),
    "section-empty": body("## Contact\n\n### By mail"),
    "section-missing": Example(card(body="# Quotes\n\nAn adapter.")),
    "snippet-json": body("```json\n{\n  a: 1\n}\n```", "a: 1"),
    "snippet-python": body("```python\nx = 1\nprint(x\n```", "print(x"),
    "snippet-unpinned": own("(adapter, revision=tag)", "(adapter)"),
    "snippet-yaml": body("```yaml\na: b\nc: d: e\n```", "c: d: e"),
    "task-categories-unknown": front("[text-generation]", "[quote-writing]", kind="dataset", inside=DATA_FRONT),
    "task-unknown": front("pipeline_tag: text-generation", "pipeline_tag: quote-writing"),
    "unclosed-fence": body("```python\nprint(1)"),
    "unknown-key": added("licence: mit"),
    "widget-list": added("widget: {text: a}"),
}
PASSING: dict[str, Example] = {
    "active-html": body("Text with `<script>` in code.\n\n```html\n<script></script>\n```"),
    "anchor-dead": body("See [the numbers](#evaluation), [this](#here). <a id='here'></a>"),
    "base-model-id": front("org/base", "[org/base, gpt2]"),
    "base-model-missing": GOOD,
    "base-model-relation": added("base_model_relation: adapter"),
    "card-too-large": Example(card(body=BODY + "word \n" * 100_000)),
    "claim-without-number": plain("It is state-of-the-art: 91.3 % on GLUE."),
    "control-character": body("a\tb"),
    "data-configs": added("configs: [{config_name: all}]", kind="dataset"),
    "datasets-id": GOOD,
    "direction-character": body("שלום"),
    "evaluation-contradiction": own(),
    "front-matter-duplicate-key": GOOD,
    "front-matter-mapping": GOOD,
    "front-matter-missing": GOOD,
    "front-matter-yaml": GOOD,
    "image-alt": body("![Loss over time](https://a.example/loss.png)"),
    "image-dead": body("![Loss](images/loss.png?raw=true)", exists=files("README.md", "images/loss.png")),
    "image-insecure": body("![Loss](https://a.example/loss.png)"),
    "language-code": front("language: en", "language: [en, no, pt-BR]"),
    "library-name-missing": GOOD,
    "license-display": BUILT,
    "license-file": beside(GOOD, license_texts={"LICENSE": MIT}),
    "license-id": front("license: mit", "license: [mit, apache-2.0]"),
    "license-inputs": BUILT,
    "license-link-dead": beside(front("license: mit\n", OTHER), exists=files("README.md", "LICENSE")),
    "license-missing": GOOD,
    "license-name-prefix": BUILT,
    "license-other-unnamed": front("license: mit\n", OTHER),
    "link-dead": body("See [it](./docs/my%20plan.md#aim), [all](docs).", exists=files("docs", "docs/my plan.md")),
    "local-path": GOOD,
    "long-line": body("x" * 20_000),
    "metadata-list": GOOD,
    "metadata-text": GOOD,
    "model-index-dataset": GOOD,
    "model-index-form": front("name: Quotes", "name: Quotes, config: default"),
    "model-index-revision": GOOD,
    "model-index-task": GOOD,
    "model-index-unshown": GOOD,
    "model-index-value": GOOD,
    "not-utf8": body("Zażółć gęślą jaźń 🙂"),
    "pipeline-tag-missing": GOOD_DATA,
    "placeholder": body("Run `<name>` and say TODOS."),
    "placeholder-id": GOOD,
    "script-link": body("[Open](https://a.example/javascript:1)"),
    "section-empty": body("## Contact\n\n### By mail\n\norg"),
    "section-missing": GOOD_DATA,
    "snippet-json": body('```json\n{"a": [1, 2]}\n```'),
    "snippet-python": body(
        "```python\n>>> import a\n>>> a.b(\n...     1)\n2\n```\n\n```py\n!pip install a\n%time\nx = ...\n```"
    ),
    "snippet-unpinned": own(),
    "snippet-yaml": body("```yaml\na: [b]\n```"),
    "task-categories-unknown": GOOD_DATA,
    "task-unknown": front("pipeline_tag: text-generation", "pipeline_tag: text-ranking"),
    "unclosed-fence": body("````\n```\n````"),
    "unknown-key": GOOD,
    "widget-list": added("widget: [{text: a}]"),
}
RULES = {rule.id: rule for rule in all_rules()}


def test_every_rule_has_a_card_that_breaks_it_and_one_that_keeps_it() -> None:
    assert set(FAILING) == set(RULES)
    assert set(PASSING) == set(RULES)


@pytest.mark.parametrize("name", sorted(FAILING))
def test_the_rule_finds_what_it_is_about(name: str) -> None:
    found = [finding for finding in lint_source(FAILING[name].given()).findings if finding.rule == name]
    assert found
    assert FAILING[name].line in (None, found[0].line)


@pytest.mark.parametrize("name", sorted(PASSING))
def test_the_rule_keeps_silent_about_a_card_in_order(name: str) -> None:
    assert [finding for finding in lint_source(PASSING[name].given()).findings if finding.rule == name] == []


@pytest.mark.parametrize("example", [GOOD, GOOD_DATA, BUILT, own()], ids=["model", "dataset", "llama", "own"])
def test_a_card_in_order_has_no_findings_at_all(example: Example) -> None:
    assert lint_source(example.given()).findings == []


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_rule_says_in_one_sentence_what_holds(rule) -> None:
    assert rule.summary.endswith(".")
    assert rule.id == rule.id.lower().replace("_", "-")


def test_a_stated_licence_that_the_inputs_forbid_is_told_on_its_line() -> None:
    found = lint_source(FAILING["license-inputs"].given()).findings
    assert [(one.line, one.severity) for one in found if one.rule == "license-inputs"] == [(STATED_LICENSE, "error")]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("TODO", "error"),
        ("See {{ base_model }}.", "error"),
        ("It thinks between <think> and the answer.", "warning"),
        ("@misc{a, title={{Quotes of the World}}}", "warning"),
    ],
)
def test_what_may_be_meant_as_it_is_written_is_a_warning(text: str, severity: str) -> None:
    (finding,) = lint_source(body(text).given()).findings
    assert (finding.rule, finding.severity) == ("placeholder", severity)


@pytest.mark.parametrize(
    "code",
    [
        "print('a'\n    % 'b')",
        "pip install peft\nimport peft",
        "x = [1, 2, …]",
        "async def f():\n    await g(...)",
        "for a in b:\n    ...",
        "In = 1\n",
        ">>> x\n1\n",
    ],
)
def test_what_authors_mean_as_python_is_taken_as_such(code: str) -> None:
    assert lint_source(body(f"```python\n{code}\n```").given()).findings == []


@pytest.mark.parametrize("code", ["print 'a'", "x = = 1", "def f(:\n  pass", "  x = 1\n y = 2"])
def test_what_is_not_python_is_an_error(code: str) -> None:
    (finding,) = lint_source(body(f"```python\n{code}\n```").given()).findings
    assert (finding.rule, finding.severity) == ("snippet-python", "error")


@pytest.mark.parametrize(
    "path",
    ["/home/ann/base", "~/base", "./base", "..", "C:\\base", "out/run/base", "out/checkpoint-500", "data/a.jsonl"],
)
def test_a_path_is_told_once_and_as_a_path(path: str) -> None:
    found = lint_source(Example(card(FRONT.replace("[org/quotes]", f"['{path}']"))).given()).findings
    assert [finding.rule for finding in found] == ["local-path"]


def test_metadata_that_is_never_closed_is_told_as_such() -> None:
    (finding,) = (one for one in lint_source(Example("---\nlicense: mit\n# Card\n").given()).findings if one.line == 1)
    assert (finding.rule, finding.message) == ("front-matter-missing", "the metadata is never closed")


@pytest.mark.parametrize(
    ("value", "severity"),
    [("null", "error"), ("3", "error"), ("default", None)],
)
def test_a_config_of_null_is_an_error_on_its_line(value: str, severity: str | None) -> None:
    index = INDEX.replace(
        "dataset: {type: org/quotes, ", f"dataset:\n        config: {value}\n        type: org/quotes\n    #"
    )
    found = [
        one for one in lint_source(Example(card(FRONT + index)).given()).findings if one.rule == "model-index-form"
    ]
    assert [(one.severity, one.line) for one in found] == ([(severity, 15)] if severity else [])


def test_json_lines_are_json() -> None:
    assert lint_source(body('```json\n{"a": 1}\n{"a": 2}\n```').given()).findings == []


@pytest.mark.parametrize(
    ("shown", "is_there"),
    [
        ("27.4035", True),
        ("27.40", True),
        ("27.4", True),
        ("27", True),
        ("2740.35 %", True),
        ("0.274", True),
        ("27.41", False),
        ("27.5", False),
        ("1127.40", False),
        ("v27.4", False),
    ],
)
def test_a_rounded_result_counts_as_shown(shown: str, is_there: bool) -> None:
    text = card(body=BODY.replace("27.40 |", f"{shown} |"))
    found = {finding.rule for finding in lint_source(Example(text).given()).findings}
    assert ("model-index-unshown" not in found) == is_there


def test_many_results_that_are_not_shown_are_told_together() -> None:
    values = "".join(f"    - {{type: acc, value: {n}.5}}\n" for n in range(100, 160))
    found = lint_source(Example(card(FRONT + INDEX + values)).given()).findings
    assert len(found) == 11
    assert "50 more results" in found[-1].message
