"""The README shows what is: its configs are in order, and it names every command."""

import json
import re
from pathlib import Path

import click
import pytest
import yaml
from pydantic import BaseModel

from hubtune.cli.app import app
from hubtune.config.load import parse_config
from hubtune.config.training import LoraConfig, TrainConfig
from hubtune.localhub.accounts import Accounts
from hubtune.localhub.faults import FaultPlan

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def _screen(path: Path) -> object:
    start = "base: {repo: org/base}\ndata: [{repo: org/rows, text: text}]\n"
    return parse_config(start + path.read_text()).screen.email == "redact"


LOADERS = {"base": None, "users": Accounts.load, "faults": FaultPlan.load, "screen": _screen}


def commands(group: click.Group, prefix: str = "") -> list[str]:
    names = []
    for name, command in group.commands.items():
        whole = f"{prefix}{name}"
        names += commands(command, f"{whole} ") if isinstance(command, click.Group) else [whole]
    return names


@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition(":")[0] for block in BLOCKS])
def test_every_yaml_block_is_what_it_is_shown_as(block: str, tmp_path: Path) -> None:
    (kind,) = set(LOADERS) & set(yaml.safe_load(block))
    loader = LOADERS[kind]
    if loader is None:
        assert parse_config(block).publish.repo == "org/quotes-lora"
    else:
        (tmp_path / "block.yaml").write_text(block)
        assert loader(tmp_path / "block.yaml")


def test_there_is_a_block_of_each_kind() -> None:
    assert sorted(block.partition(":")[0] for block in BLOCKS) == sorted(LOADERS)


@pytest.mark.parametrize("command", commands(app))
def test_every_command_stands_in_the_readme(command: str) -> None:
    assert re.search(rf"`(hubtune )?{command}\b", README), command


@pytest.mark.parametrize("key", ["base", "data[]", "train", "evaluate", "card", "publish"])
def test_every_config_section_stands_in_the_readme(key: str) -> None:
    assert f"| `{key}." in README


@pytest.mark.parametrize(("section", "prefix"), [(TrainConfig, "train."), (LoraConfig, "train.lora.")])
def test_every_default_of_the_training_has_a_reason_and_a_source(section: type[BaseModel], prefix: str) -> None:
    reasons = README.partition("### Why these defaults of `train`")[2].partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `?([^`|]+?)`? \| [^|]{20,} \| [^|]{5,} \|$", reasons, re.MULTILINE))

    for name, field in section.model_fields.items():
        # What is off, or empty, until it is asked for needs no reason.
        if isinstance(field.default, int | float | str) and field.default is not False:
            assert rows.get(prefix + name) == json.dumps(field.default).strip('"'), name
