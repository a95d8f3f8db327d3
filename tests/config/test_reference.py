"""Each key of the config is described once, and the JSON schema judges a config as loading it does."""

import functools
import importlib
import json
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jsonschema
import pytest
import yaml

import hubtune.config
from hubtune.config.fields import ConfigSection
from hubtune.config.load import dump_config, parse_config
from hubtune.config.reference import config_keys, config_schema, descriptions, is_schema, reference, schema_text
from hubtune.config.training import LoraConfig, TrainConfig
from hubtune.errors import ConfigError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/config.md"
EXAMPLES = sorted((ROOT / "examples").glob("*/hubtune.yaml"))
MINIMAL = {"base": {"repo": "org/base"}, "data": [{"repo": "org/sayings"}]}


@functools.cache
def _schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema_text()))


def _sections() -> list[type[ConfigSection]]:
    for module in pkgutil.iter_modules(hubtune.config.__path__):
        importlib.import_module(f"hubtune.config.{module.name}")
    return sorted(ConfigSection.__subclasses__(), key=lambda section: section.__name__)


def _loads(text: str, folder: Path) -> bool:
    try:
        parse_config(text, folder=folder)
    except ConfigError:
        return False
    return True


def _judgements(text: str, folder: Path = Path()) -> tuple[bool, bool]:
    """Returns what loading a config and the schema say of it."""
    return _loads(text, folder), _schema().is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("section", _sections(), ids=lambda section: section.__name__)
def test_every_key_has_a_description_in_sentences(section: type[ConfigSection]):
    described = descriptions(section)

    assert list(described) == list(section.model_fields)
    for name, text in described.items():
        assert text[0].isupper() or text[0] in "`0", name
        assert text.endswith("."), name
        assert len(text) > 15, name
    assert "Attributes:" not in (section.__doc__ or ""), "the fields say it"


def test_every_key_of_every_section_is_in_the_reference():
    paths = [path.rpartition(".")[2] for path in config_keys()]

    assert "data[].columns.text" in config_keys()
    assert not [path for path in config_keys() if path.startswith("earlier.data[]")], "they are those of `data`"
    assert sorted(set(paths)) == sorted({name for section in _sections() for name in section.model_fields})


def test_the_summary_of_a_key_is_its_first_sentence():
    assert config_keys()["train.lora.alpha"].summary == (
        "The scaling of the adapter: its update is multiplied by alpha / r"
    )
    assert config_keys()["train.epochs"].summary == "How often each row is used"


def test_the_reference_says_what_a_key_may_be_and_what_it_is_by_default():
    rows = {line.split("`")[1]: line.split(" | ")[1:3] for line in reference().splitlines() if line.startswith("| `")}

    assert rows["base.repo"] == ["repository id", "required"]
    assert rows["train.warmup"] == ["number (at least 0 and below 1)", "`0.05`"]
    assert rows["train.batch_size"] == ["whole number (at least 1) or `auto`", "`8`"]
    assert rows["train.seed"] == ["whole number (at least 0)", "`42`"]
    assert rows["screen.iban"] == ["`report`, `redact`, `drop` or `refuse`", "`redact`"]
    assert rows["data[].labels"] == ["list of texts", "none"]
    assert rows["card.intended_use"] == ["text or `{file: PATH}`", "none"]
    assert rows["publish.private"] == ["true or false", "`false`"]
    assert rows["screen.phone_regions"] == ["list of country codes", "`[US, GB]`"]


def test_the_tables_of_the_docs_are_the_reference():
    """UPDATE_GOLDEN=1 writes them again."""
    end = "<!-- end of keys -->\n"
    before, begin, after = re.split(r"(<!-- keys: .* -->\n)", DOCS.read_text(encoding="utf-8"))
    tables, _, rest = after.partition(end)
    if os.environ.get("UPDATE_GOLDEN"):
        DOCS.write_text(f"{before}{begin}\n{reference()}\n{end}{rest}", encoding="utf-8")
        tables = f"\n{reference()}\n"

    assert tables == f"\n{reference()}\n", "change the docstrings of the fields, then run `make docs`"


@pytest.mark.parametrize(("section", "prefix"), [(TrainConfig, "train."), (LoraConfig, "train.lora.")])
def test_every_default_of_the_training_has_a_reason_and_a_source(section: type[ConfigSection], prefix: str):
    reasons = DOCS.read_text(encoding="utf-8").partition("## Why these defaults of `train`")[2]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `?([^`|]+?)`? \| [^|]{20,} \| [^|]{5,} \|$", reasons, re.MULTILINE))

    for name, field in section.model_fields.items():
        # What is off, or empty, until it is asked for needs no reason.
        if isinstance(field.default, int | float | str) and field.default is not False:
            assert rows.get(prefix + name) == json.dumps(field.default).strip('"'), name


def test_the_schema_is_one_of_draft_2020_12_with_a_name_of_its_own():
    schema = config_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:hubtune:config:")
    assert schema["title"] == "hubtune.yaml"
    assert is_schema(schema_text())
    assert not is_schema('{"$id": "urn:other"}')
    assert not is_schema("[]")
    assert not is_schema("{")


def test_every_key_of_the_schema_has_a_description_and_no_section_takes_others():
    for section in [config_schema(), *config_schema()["$defs"].values()]:
        assert section["additionalProperties"] is False
        assert all(key["description"] for key in section["properties"].values())


def _forms(form: object) -> Iterator[dict[str, object]]:
    if isinstance(form, dict):
        yield form
    for below in form.values() if isinstance(form, dict) else form if isinstance(form, list) else ():
        yield from _forms(below)


def test_an_editor_says_what_a_text_has_to_be_and_not_its_pattern():
    patterns = [form for form in _forms(config_schema()) if isinstance(form.get("pattern"), str)]
    repo = config_schema()["$defs"]["BaseModelConfig"]["properties"]["repo"]

    assert len(patterns) > 50
    assert [form["pattern"] for form in patterns if "patternErrorMessage" not in form] == ["^[a-z][a-z0-9_]*$"]
    assert repo["patternErrorMessage"] == "This is not a repository id; write one such as org/base."


def test_an_editor_offers_no_null_and_no_whole_section():
    properties = [key for form in config_schema()["$defs"].values() for key in form["properties"].values()]

    assert not [key for key in properties if key.get("default", "") is None or isinstance(key.get("default"), dict)]


@pytest.mark.parametrize("text", ["", "mine", "[1]", '{"$id": 1}', "[" * 100_000, '{"$id":' * 3000, "9" * 5000])
def test_no_other_file_is_taken_for_the_schema(text: str):
    assert not is_schema(text)
    assert is_schema(schema_text())


def test_the_schema_s_defaults_are_those_of_a_config_that_gives_none():
    loaded = json.loads(parse_config(json.dumps(MINIMAL)).model_dump_json())
    train = config_schema()["$defs"][TrainConfig.__name__]["properties"]

    assert {name: key["default"] for name, key in train.items() if "default" in key and key["default"] is not None} == {
        name: value for name, value in loaded["train"].items() if name != "lora" and value is not None
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_are_accepted_as_written_and_with_every_default(path: Path):
    text = path.read_text()

    assert _judgements(text, path.parent) == (True, True)
    assert _judgements(dump_config(parse_config(text, folder=path.parent))) == (True, True)


GOOD = (
    "{}",
    "train: {batch_size: auto}",
    "train: {learning_rate: 2e-4}",
    "train: {learning_rate: 2.0e-4, epochs: '3'}",
    "train: {epochs: 0.5, packing: 'no'}",
    "train: {steps: 10, epochs: null}",
    "train: {lora: {target_modules: [q_proj]}}",
    "train: {lora: {target_modules: '.*self_attn.*'}}",
    "train: {added_tokens: ['<|quote|>', ü]}",
    "train: {method: full}",
    "train: {precision: bf16, seed: 4294967295}",
    "rows: {workers: 4, mix: interleave}",
    "rows: {workers: auto}",
    "screen: {phone_regions: [DE], secret: drop}",
    "evaluate: {metrics: all}",
    "evaluate: {metrics: []}",
    "evaluate: {metrics: [perplexity, bleu], max_items: 5}",
    "evaluate: {bias: {words: words.txt}}",
    "card: {license: mit, intended_use: For tests., bias: {file: BIAS.md}}",
    "card: {license: other, license_name: Own, license_link: 'https://example.org/license'}",
    "card: {accept_license: {repo: org/base, reason: Asked., by: Ann}}",
    "card: {accept_license: [{repo: org/base, reason: Asked., by: Ann}]}",
    "publish: {repo: org/model, tag: v2.1.0-rc1, branch: next/2, private: yes}",
    "earlier: {data: [{repo: org/old, split: 'train[:10%]'}], replay: 0.1}",
    "data: [{path: rows.csv, separator: ';', license: mit, encoding: latin-1}]",
    r"data: [{path: rows.csv, separator: '\t'}]",
    "data: [{repo: sayings, split: 'train[:10%]+test[5:]', template: '{a}: {b}'}]",
    "data: [{repo: org/sayings, format: chat, chat_template: {file: chat.jinja}}]",
    "data: [{repo: org/sayings, format: classification, labels: [no, yes], columns: {label: Größe}}]",
    "data: [{repo: org/one, path: null}, {repo: org/two, revision: refs/pr/1, weight: 0.5}]",
    "base: {repo: org/base, adapter: {repo: org/lora}}",
    f"base: {{repo: org/base, allow_remote_code: {'a' * 40}}}",
)


@pytest.mark.parametrize("text", GOOD)
def test_what_loads_is_accepted(text: str, tmp_path: Path):
    (tmp_path / "BIAS.md").write_text("None known.")
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    text = yaml.safe_dump({**MINIMAL, **yaml.safe_load(text.replace("[no, yes]", "['no', 'yes']"))})

    assert _judgements(text, tmp_path) == (True, True)


BAD = (
    "trian: {}",
    "train: {epoch: 3}",
    "train: {lora: {rr: 3}}",
    "train: {epochs: three}",
    "train: {epochs: 0}",
    "train: {method: dora}",
    "train: {batch_size: automatic}",
    "train: {batch_size: 1.5}",
    "train: {packing: maybe}",
    "train: {lora: null}",
    "train:",
    "train: []",
    "train: {lora: {target_modules: []}}",
    "train: {added_tokens: [' a']}",
    "train: {added_tokens: [a, a]}",
    "train: {seed: -1}",
    "rows: {workers: 0}",
    "rows: {workers: all}",
    "screen: {phone_regions: [us]}",
    "screen: {email: refused}",
    "screen: {duplicates: redact}",
    "evaluate: {holdout: 1}",
    "evaluate: {metrics: everything}",
    "evaluate: {metrics: [Perplexity]}",
    "evaluate: {bias: {words: ''}}",
    "card: {license: apache2}",
    "card: {license: null}",
    "card: {intended_use: ' '}",
    "card: {intended_use: 5}",
    "card: {bias: {path: BIAS.md}}",
    "card: {license_name: {file: BIAS.md}}",
    "card: {license: other, license_name: Own, license_link: license.txt}",
    "card: {accept_license: {repo: org/base}}",
    "publish: {repo: model}",
    "publish: {repo: org/a/b}",
    "publish: {tag: '1.0'}",
    "publish: {tag: 1.0}",
    "publish: {branch: -next}",
    "publish: {branch: 'a b'}",
    f"publish: {{branch: {'a' * 40}}}",
    "publish: {artifact: both}",
    "earlier: {replay: 0.1}",
    "data: {repo: org/sayings}",
    "data: []",
    "data: [{}]",
    "data: [{repo: org/sayings, path: rows.csv}]",
    "data: [{repo: org/sayings, splitt: test}]",
    "data: [{repo: org/sayings, columns: {text: 'a.b'}}]",
    "data: [{repo: org/sayings, split: 'train[:10'}]",
    "data: [{repo: org/sayings, split: 2023}]",
    "data: [{repo: org/sayings, template: no column}]",
    "data: [{repo: org/sayings, weight: 0}]",
    "data: [{repo: org/sayings, labels: [a, a], format: classification}]",
    "data: [{repo: org/sayings, labels: [a], format: classification}]",
    "data: [{repo: org/sayings, revision: 'a b'}]",
    "data: [{path: rows.csv, separator: ab}]",
    "data: [{path: rows.csv, separator: x}]",
    "data: [{path: rows.csv, license: auto}]",
    "base: {repo: ./local}",
    "base: {repo: org/base--model}",
    "base: {repo: org/base.git}",
    "base: {}",
    "base: {repo: org/base, allow_remote_code: main}",
    "base: {repo: org/base, adapter: {revision: main}}",
)


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_load_is_refused(text: str):
    assert _judgements(yaml.safe_dump({**MINIMAL, **yaml.safe_load(text)})) == (False, False)


@pytest.mark.parametrize("text", ["", "- base", "base: {repo: org/base}", "data: [{repo: org/sayings}]"])
def test_a_config_without_its_base_or_data_is_refused(text: str):
    assert _judgements(text) == (False, False)


VALUES = (
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        8.0,
        0.5,
        -1,
        2**33,
        "",
        " ",
        "a",
        "auto",
        "all",
        "main",
        "text",
        "2e-4",
        "0x10",
        "yes",
        "1_000",
    ),
    *("mit", "org/model", "v1.0.0", "a" * 40, "train[:5%]", "{a}", ";", "utf-8", "https://a.b", "drop", "lora", "é\n"),
    *([], ["a"], ["a", "b"], ["a", "a"], ["US"], [1], [None], {}, {"file": "words.md"}, {"a": 1}, {"repo": "org/a"}),
)


def _with(path: str, value: object) -> dict[str, object]:
    document = json.loads(json.dumps(MINIMAL))
    place, (*above, last) = document, path.split(".")
    for name in above:
        if name.endswith("[]"):
            place = place.setdefault(name[:-2], [{"repo": "org/old"}])[0]
        else:
            place = place.setdefault(name, {})
    place[last] = value
    return document


def test_the_schema_never_refuses_a_value_that_loads(tmp_path: Path, picked: Callable[[Sequence[str], int], list[str]]):
    (tmp_path / "words.md").write_text("Some words.")

    for path in picked(list(config_keys()), 30):
        for value in VALUES:
            document = _with(path, value)
            if _loads(json.dumps(document), tmp_path):
                assert _schema().is_valid(document), (path, value)


def test_a_misspelt_key_is_refused_wherever_it_is():
    for path in config_keys():
        document = _with(f"{path}_", "a")
        assert (_loads(json.dumps(document), Path()), _schema().is_valid(document)) == (False, False), path
