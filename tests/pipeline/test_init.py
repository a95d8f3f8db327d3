"""A first config never takes the place of another, and is in order for whatever columns there are."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from hubtune.config.load import parse_config
from hubtune.config.reference import config_schema
from hubtune.data.inspection import inspect_dataset
from hubtune.errors import ConfigError
from hubtune.pipeline.init import config_text, start_config
from tests.listener import Listener
from tests.sample_runs import write_json_lines

ROWS = {
    "text": {"text": "A."},
    "prompt_completion": {"prompt": "A?", "completion": "B."},
    "instruction": {"instruction": "A.", "context": "", "response": "B."},
    "chat": {"messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]},
    "classification": {"text": "A.", "label": 1},
}


def test_a_config_that_is_there_stays_as_it_is(tmp_path: Path, listener: Listener):
    path = tmp_path / "hubtune.yaml"
    path.write_text("mine")

    with pytest.raises(ConfigError, match="already exists"):
        start_config("org/sayings", "org/base", path, listener)

    assert path.read_text() == "mine"


def test_another_file_in_the_schema_s_place_stays_as_it_is(tmp_path: Path, listener: Listener):
    schema = tmp_path / "hubtune.schema.json"
    schema.write_text('{"$id": "mine"}')

    with pytest.raises(ConfigError, match=r"hubtune\.schema\.json already exists"):
        start_config("org/sayings", "org/base", tmp_path / "hubtune.yaml", listener)

    assert schema.read_text() == '{"$id": "mine"}'
    assert not (tmp_path / "hubtune.yaml").exists()


@pytest.mark.parametrize("kind", ROWS)
def test_an_editor_finds_the_schema_and_has_nothing_to_correct(tmp_path: Path, kind: str):
    write_json_lines(tmp_path, [ROWS[kind]])

    text = config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings"))

    assert text.partition("\n")[0] == "# yaml-language-server: $schema=./hubtune.schema.json"
    jsonschema.validate(yaml.safe_load(text), config_schema(), jsonschema.Draft202012Validator)


def test_each_key_stands_below_its_description(tmp_path: Path):
    write_json_lines(tmp_path, [{"quote": "Yes.", "author": "Ann"}])

    lines = config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings")).splitlines()

    assert lines[lines.index("  - repo: org/sayings") - 1] == (
        "  # The dataset's repository on the Hub, as `namespace/name`."
    )
    assert lines[lines.index("  batch_size: 8") - 1] == "  # Rows per batch."
    assert lines[lines.index("    split: train  # 1 rows") - 1].startswith("    # The split to train on")
    assert max(map(len, lines)) <= 120


def test_keys_that_are_only_comments_load_once_they_are_put_to_use(tmp_path: Path):
    write_json_lines(tmp_path, [{"quote": "Yes.", "author": "Ann"}])
    text = config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings"))

    used = re.sub(r"^( *)# (publish:|repo:|tag:|intended_use:|metrics:)", r"\1\2", text, flags=re.MULTILINE)

    config = parse_config(used.replace("NAMESPACE/NAME", "org/sayings-lora"))
    assert (config.publish.repo, config.publish.tag) == ("org/sayings-lora", "v1.0.0")
    assert config.evaluate.metrics == "all"
    assert config.card.intended_use == "What the model is for, in a sentence or two."


@pytest.mark.parametrize("kind", ROWS)
def test_columns_of_a_known_format_are_written_out(tmp_path: Path, kind: str):
    write_json_lines(tmp_path, [ROWS[kind]])

    (entry,) = parse_config(config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings"))).data

    assert entry.format == kind
    assert set(entry.columns.named().values()) == set(ROWS[kind])


def test_other_columns_of_text_become_a_template(tmp_path: Path):
    write_json_lines(tmp_path, [{"quote": "Yes.", "author: #": "Ann", "author": "Ann", "n": 3, "tags": ["a"]}])

    (entry,) = parse_config(config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings"))).data

    assert entry.template == "{quote}\n{author}"


def test_numbers_in_a_table_are_no_words_for_a_template(tmp_path: Path):
    (tmp_path / "train.csv").write_text("id;quote;author;year\n007;Yes.;Ann;1.5\n")

    found = inspect_dataset(tmp_path, "org/sayings")

    (entry,) = parse_config(config_text("org/sayings", "org/base", found)).data
    assert found.columns == ["id", "quote", "author", "year"]
    assert entry.template == "{quote}\n{author}"


def test_one_column_of_text_is_taken_as_it_is(tmp_path: Path):
    write_json_lines(tmp_path, [{"quote": "Yes.", "n": 3}])

    (entry,) = parse_config(config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings"))).data

    assert entry.text == "quote"


def test_configurations_and_splits_are_named(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: one, data_files: [{split: dev, path: a.jsonl}, {split: test, path: b.jsonl}]}\n"
        "- {config_name: two, data_files: b.jsonl}\n---\n"
    )
    write_json_lines(tmp_path, [ROWS["text"]], "a.jsonl")
    write_json_lines(tmp_path, [ROWS["text"]], "b.jsonl")

    text = config_text("org/sayings", "org/base", inspect_dataset(tmp_path, "org/sayings"))

    (entry,) = parse_config(text).data
    assert (entry.name, entry.split) == ("one", "dev")
    assert "its configurations: one, two" in text
    assert "# held_out_split: test" in text
