"""A config is read with all its faults at once, each with its key path and what may have been meant."""

from pathlib import Path

import pytest

from hubtune.config.load import (
    dump_config,
    evaluation_digest,
    load_config,
    parse_config,
    read_dumped,
    training_digest,
)
from hubtune.errors import ConfigError

MINIMAL = "base: {repo: org/base}\ndata: [{repo: org/sayings, text: quote}]\n"


def _faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, overrides)
    return list(caught.value.details)


def test_two_lines_are_a_whole_config():
    config = parse_config(MINIMAL)

    assert (config.base.revision, config.data[0].split, config.train.method) == ("main", "train", "lora")
    assert (config.evaluate.metrics, config.card.license, config.publish.tag) == (["perplexity"], "auto", "v1.0.0")


def test_every_fault_is_told_at_once_with_its_place():
    faults = _faults(
        """
        base: {repo: ./local/model, revison: main}
        data:
          - {repo: org/one, text: quote}
          - {repo: org/two, template: no column}
        train: {epochs: 0, lora: {r: none, alpah: 3}}
        publish: {repo: nameless, tag: latest}
        speed: 11
        """
    )

    assert {fault.partition(": ")[0] for fault in faults} == {
        "base.repo",
        "base.revison",
        "data[1].template",
        "train.epochs",
        "train.lora.r",
        "train.lora.alpah",
        "publish.repo",
        "publish.tag",
        "speed",
    }


def test_the_message_names_the_file_and_how_many_faults_there_are(tmp_path: Path):
    path = tmp_path / "tune.yaml"
    path.write_text(MINIMAL + "train: {epochs: 0, seed: -1}\n")

    with pytest.raises(ConfigError, match=r"tune\.yaml cannot be used: 2 things to correct"):
        load_config(path)


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("train: {epoch: 3}", "train.epoch: there is no such key; did you mean `epochs`?"),
        ("train: {lora: {rr: 3}}", "train.lora.rr: there is no such key; did you mean `r`?"),
        ("evaluation: {}", "evaluation: there is no such key; did you mean `evaluate`?"),
        ("holdout: 0.2", "holdout: there is no such key; did you mean `evaluate.holdout`?"),
        ("card: {tag: v1.0.0}", "card.tag: there is no such key; did you mean `publish.tag`?"),
        ("train: {alpha: 3}", "train.alpha: there is no such key; did you mean `train.lora.alpha`?"),
    ],
)
def test_a_misspelt_or_misplaced_key_is_told_what_may_have_been_meant(added: str, fault: str):
    assert _faults(MINIMAL + added) == [fault]


def test_a_key_like_no_other_is_told_what_there_is():
    (fault,) = _faults(MINIMAL + "publish: {zzz: 1}")

    assert (
        fault
        == "publish.zzz: there is no such key; here are: artifact, branch, counterpart, message, private, repo, tag"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "base: {repo: org/base}\nbase: {repo: org/base}\ndata: [{repo: org/s, text: q}]\n",
            "base: this key stands twice, on lines 1 and 2; keep one",
        ),
        (
            MINIMAL + "train:\n  lora:\n    r: 8\n    alpha: 16\n    r: 4\n",
            "train.lora.r: this key stands twice, on lines 5 and 7; keep one",
        ),
        (
            "base: {repo: org/base}\ndata:\n- {repo: org/s, text: q}\n- repo: org/s\n  text: q\n  repo: org/t\n",
            "data[1].repo: this key stands twice, on lines 4 and 6; keep one",
        ),
    ],
    ids=["top", "nested", "in a list"],
)
def test_a_key_that_stands_twice_is_told_with_its_lines(text: str, fault: str):
    assert _faults(text) == [fault]


@pytest.mark.parametrize(
    ("added", "path"),
    [
        ("train: {method: qlora}", "train.method"),
        ("train: {packing: true}", "train.packing"),
        ("train: {precision: fp16}", "train.precision"),
        ("train: {batch_size: auto}", "train.batch_size"),
    ],
)
def test_what_is_announced_and_not_done_yet_is_told_from_a_mistake(added: str, path: str):
    (fault,) = _faults(MINIMAL + added)

    assert fault.startswith(f"{path}: ")
    assert "hubtune does not do this yet" in fault


@pytest.mark.parametrize("key", ["path: data.jsonl", "weight: 2", "format: chat"])
def test_what_a_data_set_cannot_have_yet_is_told_so(key: str):
    faults = _faults(f"base: {{repo: org/base}}\ndata: [{{repo: org/sayings, text: quote, {key}}}]\n")

    assert len(faults) == 1
    assert faults[0].startswith(f"data[0].{key.partition(':')[0]}: ")
    assert "not do this yet" in faults[0]


def test_missing_keys_are_told():
    assert _faults("train: {epochs: 2}") == ["base: this key is missing", "data: this key is missing"]
    assert _faults("base: {}\ndata: [{text: quote}]") == [
        "base.repo: this key is missing",
        "data[0].repo: this key is missing",
    ]


@pytest.mark.parametrize("entry", ["{repo: org/s}", "{repo: org/s, text: q, template: '{q}'}"])
def test_a_data_set_says_in_one_way_how_a_row_becomes_text(entry: str):
    (fault,) = _faults(f"base: {{repo: org/base}}\ndata: [{entry}]\n")

    assert fault.startswith("data[0]: say how a row becomes text")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: [unclosed", "not YAML (line"),
        ("base: !!python/object/apply:os.system ['true']", "not YAML"),
        ("- a list", "has to be a mapping"),
        ("just text", "has to be a mapping"),
        ("base: \t{repo: x}\n\tdata: y", "not YAML"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_told_so(text: str, said: str):
    (fault,) = _faults(text)

    assert said in fault


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_config_lacks_its_keys(text: str):
    assert _faults(text) == ["base: this key is missing", "data: this key is missing"]


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no config file .*hubtune\.yaml") as caught:
        load_config(tmp_path / "hubtune.yaml")

    assert "hubtune run PATH" in str(caught.value.hint)


def test_a_file_that_is_not_text_is_told_so(tmp_path: Path):
    (tmp_path / "hubtune.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "hubtune.yaml")


def test_overrides_win_over_the_file_at_any_depth():
    config = parse_config(
        MINIMAL + "train: {epochs: 2}\n",
        ["train.epochs=3", "train.lora.r=4", "data[0].split=test", "publish.repo=org/tuned", "card.bias=a=b"],
    )

    assert (config.train.epochs, config.train.lora.r, config.data[0].split) == (3, 4, "test")
    assert (config.publish.repo, config.card.bias) == ("org/tuned", "a=b")


def test_an_override_s_value_is_yaml():
    config = parse_config(MINIMAL, ["publish.private=true", "train.lora.target_modules=[q_proj, v_proj]"])

    assert config.publish.private is True
    assert config.train.lora.target_modules == ["q_proj", "v_proj"]


def test_an_override_of_one_item_leaves_the_others():
    config = parse_config(MINIMAL, ["data=[{repo: org/a, text: x}, {repo: org/b, text: y}]", "data[1].text=z"])

    assert [(entry.repo, entry.text) for entry in config.data] == [("org/a", "x"), ("org/b", "z")]


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("train.epochs", "the override 'train.epochs' is not key=value, such as train.epochs=3"),
        ("=3", "the override '=3' is not key=value, such as train.epochs=3"),
        ("data[5].split=test", "data[5].split: the override names a place that the config does not have"),
        ("data.split=test", "data.split: the override names a place that the config does not have"),
        ("base.repo.name=x", "base.repo.name: the override names a place that the config does not have"),
        ("train..epochs=3", "train..epochs: the override names a place that the config does not have"),
        ("data[x].split=test", "data[x].split: the override names a place that the config does not have"),
        ("train.epoch=3", "train.epoch: there is no such key; did you mean `epochs`?"),
        ("train.epochs=many", "train.epochs: "),
    ],
)
def test_a_bad_override_is_told(override: str, fault: str):
    (found,) = _faults(MINIMAL, override)

    assert found.startswith(fault)


def test_a_template_in_an_override_is_text():
    assert parse_config(MINIMAL, ["data[0]={repo: org/s, template: 'Q: {quote}'}"]).data[0].template == "Q: {quote}"


def test_a_dumped_config_reads_back_equal_and_holds_every_default():
    config = parse_config(MINIMAL + "card: {intended_use: 'Ünusual: #1 \"use\"'}\nevaluate: {metrics: all}\n")

    text = dump_config(config)

    assert parse_config(text) == config
    for default in ("learning_rate:", "max_length:", "holdout:", "tag: v1.0.0", "target_modules: all-linear"):
        assert default in text


@pytest.mark.parametrize(
    "override",
    [
        "card.intended_use=Other",
        "card.license=mit",
        "publish.tag=v2.0.0",
        "publish.repo=org/x",
        "evaluate.batch_size=1",
    ],
)
def test_card_release_and_way_of_measuring_do_not_decide_the_training(override: str):
    assert training_digest(parse_config(MINIMAL)) == training_digest(parse_config(MINIMAL, [override]))


@pytest.mark.parametrize(
    "override",
    [
        "base.revision=v1",
        "data[0].split=test",
        "train.seed=1",
        "train.lora.r=1",
        "evaluate.holdout=0.2",
        "evaluate.seed=1",
        "evaluate.max_items=9",
    ],
)
def test_inputs_training_and_split_decide_the_training(override: str):
    assert training_digest(parse_config(MINIMAL)) != training_digest(parse_config(MINIMAL, [override]))


def test_a_default_written_out_decides_the_same():
    assert training_digest(parse_config(MINIMAL)) == training_digest(parse_config(dump_config(parse_config(MINIMAL))))


def test_the_evaluation_s_digest_is_of_its_section_alone():
    plain = evaluation_digest(parse_config(MINIMAL))

    assert plain == evaluation_digest(parse_config(MINIMAL, ["train.seed=1", "publish.tag=v2.0.0"]))
    assert plain != evaluation_digest(parse_config(MINIMAL, ["evaluate.batch_size=1"]))


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/hubtune.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_a_shipped_config_is_in_order(path: Path):
    config = load_config(path)

    assert parse_config(dump_config(config)) == config


def test_there_are_shipped_configs():
    assert EXAMPLES


def test_a_dumped_config_reads_back_as_it_was(tmp_path: Path):
    config = parse_config(MINIMAL, ["card.templates=sections"])

    assert read_dumped(dump_config(config), "records/config.yaml") == config


def test_a_dumped_config_cannot_have_a_file_read(tmp_path: Path):
    secret = tmp_path / "secret.md"
    secret.write_text("my secret")
    text = MINIMAL + f"card: {{ethics: {{file: {secret}}}}}\n"

    with pytest.raises(ConfigError, match=r"records/config\.yaml") as caught:
        read_dumped(text, "records/config.yaml")

    assert "my secret" not in str(caught.value.details)


def test_an_adapter_and_merged_weights_are_two_repositories():
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL, ["publish.repo=org/tuned", "publish.counterpart=org/tuned"])

    assert "take two" in str(caught.value.details)
