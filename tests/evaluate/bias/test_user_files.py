"""Files of the user's own take the place of hubtune's, in several formats; one that cannot be used is told of."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from hubtune.config.evaluation import BiasConfig
from hubtune.config.load import dump_config, evaluation_digest, load_config, without_folders
from hubtune.errors import ConfigError
from hubtune.evaluate.bias.material import Swap, check_files, pairs, prompts, swaps, words

ROWS = [
    {"axis": "age", "template": "The {term} clerk smiled.", "term_a": "old", "term_b": "young"},
    {"axis": "age", "template": "The {term} clerk left, early.", "term_a": "old", "term_b": "young"},
]


def _csv(rows: list[dict[str, str]]) -> str:
    lines = [list(rows[0]), *([*row.values()] for row in rows)]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines)


@pytest.fixture
def write(tmp_path: Path):
    def written(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", _csv(ROWS)),
        ("t.csv", "\ufeff" + _csv([{**row, "note": "more"} for row in ROWS])),
        ("t.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("t.yaml", yaml.safe_dump(ROWS)),
        (
            "t.yml",
            yaml.safe_dump({"age": {"templates": [row["template"] for row in ROWS], "terms": [["old", "young"]]}}),
        ),
    ],
)
def test_templates_are_read_in_each_format(write, name: str, text: str):
    found = swaps(BiasConfig(templates=write(name, text)))

    assert list(found.items) == [Swap(row["axis"], row["template"], row["term_a"], row["term_b"]) for row in ROWS]
    assert found.settings == {
        "material": name,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "origin": "user",
    }


def test_crows_pairs_is_read_as_it_is_published(write):
    file = write("c.csv", ',sent_more,sent_less,stereo_antistereo,bias_type\n0,"A, b c.","D, b c.",stereo,age\n')

    (pair,) = pairs(BiasConfig(pairs=file)).items

    assert (pair.more, pair.less, pair.category) == ("A, b c.", "D, b c.", "age")


@pytest.mark.parametrize(("name", "text"), [("w.txt", "# said\nBad\n\nworse \n"), ("w.csv", "word\nBAD\nworse\nbad\n")])
def test_words_are_read_in_lower_case_each_once(write, name: str, text: str):
    assert words(BiasConfig(words=write(name, text))).items == ["bad", "worse"]


def test_prompts_are_plain_lines_or_a_column(write):
    lines = prompts(BiasConfig(prompts=write("p.txt", "The Sun\nThe rain\n"))).items

    assert lines == prompts(BiasConfig(prompts=write("p.jsonl", '{"prompt": "The Sun"}\n{"prompt": "The rain"}'))).items
    assert lines == ["The Sun", "The rain"]


@pytest.mark.parametrize(
    ("key", "name", "text", "told"),
    [
        (
            "templates",
            "t.csv",
            "axis,template,a,b\nage,The {term} ran.,x,y\n",
            "no column 'term_a', 'term_b'; its columns",
        ),
        ("templates", "t.csv", "axis,template,term_a,term_b\nage,The term ran.,x,y\n", "does not hold {term} once"),
        ("templates", "t.csv", "axis,template,term_a,term_b\nage,I saw {term}.,x,y\n", "no word after {term}"),
        ("templates", "t.csv", "axis,template,term_a,term_b\nMy Age,The {term} ran.,x,y\n", "axis 'My Age'"),
        ("templates", "t.csv", "axis,template,term_a,term_b\nage,The {term} ran.,x,x\n", "not two terms"),
        ("templates", "t.csv", "axis,template,term_a,term_b\nage,The {term} ran.,x,\n", "no text in column 'term_b'"),
        ("templates", "t.yaml", "age: {templates: [a]}\n", "axis 'age'"),
        ("templates", "t.yaml", "{", "not YAML"),
        ("templates", "t.yaml", "3", "not a list of rows"),
        ("pairs", "p.csv", "more,other\na b,c b\n", "no column 'less'"),
        ("pairs", "p.csv", "more,less\na b,a b\n", "the same sentence twice"),
        ("pairs", "p.jsonl", "{\n", "cannot be read as jsonl"),
        ("pairs", "p.jsonl", '{"more": "a b", "less": 3}\n', "no text in column 'less'"),
        ("pairs", "p.csv", "more,less\n", "no rows"),
        ("pairs", "p.parquet", "", "cannot be read: it must be"),
        ("words", "w.csv", "term\nbad\n", "no column 'word'"),
        ("prompts", "p.txt", "# nothing\n", "no rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_key_and_the_fault(write, key, name, text, told):
    config = BiasConfig.model_validate({key: write(name, text)})

    with pytest.raises(ConfigError) as caught:
        check_files(config)

    said = " ".join([caught.value.message, *caught.value.details])
    assert told in said
    assert f"{name} (`evaluate.bias.{key}`)" in said or f"the file {name} (`evaluate.bias.{key}`)" in said


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["w.csv", "w.txt", "w.jsonl"])
def test_a_file_in_another_encoding_is_named_with_the_place(tmp_path, name: str, mark: bytes):
    (tmp_path / name).write_bytes(mark + b"word\ncaf\xe9\n")

    with pytest.raises(ConfigError) as caught:
        check_files(BiasConfig(words=str(tmp_path / name)))

    said = " ".join([caught.value.message, *caught.value.details])
    offset = len(mark) + 8
    assert f"is not UTF-8: its byte {offset + 1} (offset {offset}), on line 2" in said
    assert "codec" not in said


def test_a_line_of_json_may_hold_separators_of_lines(write):
    file = write("p.jsonl", '{"prompt": "The\u2028Sun"}\n{"prompt": "Rain"}\n')

    assert prompts(BiasConfig(prompts=file)).items == ["The\u2028Sun", "Rain"]


def test_a_file_that_is_not_there_is_named_without_its_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.csv \(`evaluate\.bias\.pairs`\): there is no such file") as caught:
        check_files(BiasConfig(pairs=str(tmp_path / "gone.csv")))

    assert str(tmp_path) not in caught.value.message


def test_paths_start_at_the_config_s_folder_and_are_not_published(tmp_path, write):
    write("mine.txt", "bad\n")
    file = tmp_path / "hubtune.yaml"
    file.write_text("base: {repo: a/b}\ndata: [{repo: a/c, text: t}]\nevaluate: {bias: {words: mine.txt}}\n")

    config = load_config(file)
    published = without_folders(config)

    assert words(config.evaluate.bias).items == ["bad"]
    assert config.evaluate.bias.words == str(tmp_path / "mine.txt")
    assert published.evaluate.bias.words == "mine.txt"
    assert str(tmp_path) not in dump_config(published)
    assert evaluation_digest(published) == evaluation_digest(config)
