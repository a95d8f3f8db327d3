"""A first config never takes the place of another, and is in order for whatever columns there are."""

from pathlib import Path

import pytest

from hubtune.config.load import parse_config
from hubtune.data.look import look_at
from hubtune.errors import ConfigError
from hubtune.pipeline.starting import config_text, start_config
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

    with pytest.raises(ConfigError, match="is there already"):
        start_config("org/sayings", "org/base", path, listener)

    assert path.read_text() == "mine"


@pytest.mark.parametrize("kind", ROWS)
def test_columns_of_a_known_format_are_written_out(tmp_path: Path, kind: str):
    write_json_lines(tmp_path, [ROWS[kind]])

    (entry,) = parse_config(config_text("org/sayings", "org/base", look_at(tmp_path, "org/sayings"))).data

    assert entry.format == kind
    assert set(entry.columns.named().values()) == set(ROWS[kind])


def test_other_columns_of_text_become_a_template(tmp_path: Path):
    write_json_lines(tmp_path, [{"quote": "Yes.", "author: #": "Ann", "author": "Ann", "n": 3, "tags": ["a"]}])

    (entry,) = parse_config(config_text("org/sayings", "org/base", look_at(tmp_path, "org/sayings"))).data

    assert entry.template == "{quote}\n{author}"


def test_numbers_in_a_table_are_no_words_for_a_template(tmp_path: Path):
    (tmp_path / "train.csv").write_text("id;quote;author;year\n007;Yes.;Ann;1.5\n")

    found = look_at(tmp_path, "org/sayings")

    (entry,) = parse_config(config_text("org/sayings", "org/base", found)).data
    assert found.columns == ["id", "quote", "author", "year"]
    assert entry.template == "{quote}\n{author}"


def test_one_column_of_text_is_taken_as_it_is(tmp_path: Path):
    write_json_lines(tmp_path, [{"quote": "Yes.", "n": 3}])

    (entry,) = parse_config(config_text("org/sayings", "org/base", look_at(tmp_path, "org/sayings"))).data

    assert entry.text == "quote"


def test_configurations_and_splits_are_named(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: one, data_files: [{split: dev, path: a.jsonl}, {split: test, path: b.jsonl}]}\n"
        "- {config_name: two, data_files: b.jsonl}\n---\n"
    )
    write_json_lines(tmp_path, [ROWS["text"]], "a.jsonl")
    write_json_lines(tmp_path, [ROWS["text"]], "b.jsonl")

    text = config_text("org/sayings", "org/base", look_at(tmp_path, "org/sayings"))

    (entry,) = parse_config(text).data
    assert (entry.name, entry.split) == ("one", "dev")
    assert "its configurations: one, two" in text
    assert "# held_out_split: test" in text
