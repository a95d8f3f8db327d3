"""What is wrong with a config or a command line is said at once, before any Hub is asked."""

import json

import pytest

from hubtune.errors import ConfigError

COMMANDS = [["run", "--push"], ["check"], ["pin"]]


def refused_unasked(world, arguments, *words):
    """Runs a command that has to be refused for its config, and asserts that no Hub was even started."""
    shown = world.hubtune(*arguments, "--hub", world.root / "untouched")
    shown.refused(ConfigError, *words)
    assert not (world.root / "untouched").exists()
    assert not (world.work / "runs").exists()
    return shown


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_config_file_is_told_with_its_name(bare, arguments):
    refused_unasked(bare, arguments, "There is no config file hubtune.yaml")


def test_a_config_that_is_given_and_missing_is_told_with_its_name(bare):
    refused_unasked(bare, ["run", "other.yaml"], "There is no config file other.yaml")


FAULTY = """
base: {repo: lab/gpt2}
data:
  - {repo: lab/quotes, template: "{quote}", splitt: train}
train:
  epochs: 1
  learnig_rate: 1.0e-3
  epochs: 2
publish: {repo: lab/quotes-lora, tag: v1.0.0}
evalute: {holdout: 0.1}
publish: {repo: lab/other, tag: newest}
"""


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_unknown_and_duplicate_keys_are_all_told_at_once_with_what_was_meant(bare, arguments):
    (bare.work / "hubtune.yaml").write_text(FAULTY)
    shown = refused_unasked(bare, arguments)
    details = [line for line in shown.err.splitlines() if line.startswith("  - ")]
    expected = [
        ("data[0].splitt", "did you mean `split`"),
        ("train.learnig_rate", "did you mean `learning_rate`"),
        ("evalute", "did you mean `evaluate`"),
        ("train.epochs", "lines 6 and 8"),
        ("publish", "lines 9 and 11"),
        ("publish.tag", "'newest' is not a version"),
    ]
    for key, text in expected:
        assert any(line.startswith(f"  - {key}: ") and text in line for line in details), (key, shown.err)
    assert len(details) == len(expected)


def test_a_file_that_is_not_yaml_is_told_with_the_line(bare):
    (bare.work / "hubtune.yaml").write_text("base:\n  repo: [lab/gpt2\n")
    refused_unasked(bare, ["run"], "hubtune.yaml", "not YAML", "line 3")


@pytest.mark.parametrize("tag", ["latest", "1.0", "v1.0", "v1.0.0/x"])
def test_a_tag_that_is_not_a_version_is_refused_wherever_it_is_given(bare, tag):
    bare.config()
    refused_unasked(bare, ["run", "--push", "--tag", tag], "publish.tag", repr(tag), "such as v1.0.0")
    bare.config(publish__tag=tag)
    refused_unasked(bare, ["run"], "publish.tag", repr(tag), "such as v1.0.0")


@pytest.mark.parametrize("repo", ["quotes lora", "./quotes", "lab/quotes/lora", "nobody"])
def test_a_malformed_target_is_refused_wherever_it_is_given(bare, repo):
    bare.config()
    refused_unasked(bare, ["run", "--push", repo], "publish.repo", repr(repo), "namespace/name")
    bare.config(publish__repo=repo)
    refused_unasked(bare, ["run"], "publish.repo", repr(repo), "namespace/name")


@pytest.mark.parametrize("key", ["base", "data"])
def test_a_malformed_input_is_refused(bare, key):
    bare.config(**{f"{key}__repo": "lab//gpt2"})
    refused_unasked(bare, ["run"], f"{'data[0]' if key == 'data' else key}.repo", "'lab//gpt2'")


def test_push_without_a_target_is_refused(bare):
    bare.config(publish__repo=None)
    refused_unasked(bare, ["run", "--push"], "publish.repo", "--push namespace/name")


@pytest.mark.parametrize("override", ["train.epoch=3", "train.epochs=many", "data[4].split=test", "epochs"])
def test_an_override_that_does_not_fit_is_refused_with_its_name(bare, override):
    bare.config()
    refused_unasked(bare, ["run", "-s", override], override.partition("=")[0])


def test_a_config_error_is_one_json_document_when_asked_for(bare):
    (bare.work / "hubtune.yaml").write_text(FAULTY)
    shown = bare.hubtune("--json", "run", "--push")
    shown.refused(ConfigError)
    error = shown.document["error"]
    assert (error["type"], error["exit_code"]) == ("ConfigError", 2)
    assert len(error["details"]) == 6
    assert json.loads(shown.out) == {"error": error}


@pytest.mark.parametrize(("arguments", "word"), [(["rnu"], "rnu"), (["run", "--psuh"], "--psuh"), (["publish"], "RUN")])
def test_a_command_line_that_click_refuses_exits_with_2_and_names_the_fault(bare, arguments, word):
    shown = bare.hubtune(*arguments)
    assert shown.code == 2
    assert word in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_a_usage_error_is_one_json_document_when_asked_for(bare):
    shown = bare.hubtune("--json", "run", "--psuh")
    assert shown.code == 2
    assert shown.document["error"]["exit_code"] == 2
