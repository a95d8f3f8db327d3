"""The README and the pages in docs show what is: their configs are in order, and they name every command."""

import os
import re
import subprocess
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml

from hubtune.cli.app import app
from hubtune.config.evaluation import BUILT_IN
from hubtune.config.load import parse_config
from hubtune.config.reference import config_keys
from hubtune.config.schema import TuneConfig
from hubtune.config.training import Method
from hubtune.localhub.accounts import Accounts
from hubtune.localhub.fault_injection import FaultPlan
from hubtune.sweep.plan import load_sweep
from tests.test_documentation import CHECKOUT, PAGES

README = PAGES["README.md"]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", "".join(PAGES.values()), re.MULTILINE | re.DOTALL)


def _screen(path: Path) -> object:
    start = "base: {repo: org/base}\ndata: [{repo: org/rows, text: text}]\n"
    return parse_config(start + path.read_text()).screen.email == "redact"


def _train(path: Path) -> object:
    return parse_config("base: {repo: org/base}\ndata: [{repo: org/rows, text: text}]\n" + path.read_text()).train


LOADERS = {
    "base": None,
    "users": Accounts.load,
    "faults": FaultPlan.load,
    "screen": _screen,
    "sweep": load_sweep,
    "train": _train,
}


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
    assert {block.partition(":")[0] for block in BLOCKS} == set(LOADERS)


@pytest.mark.parametrize("command", commands(app))
def test_every_command_is_in_the_table_of_commands(command: str) -> None:
    rows = PAGES["docs/commands.md"].partition("|---|---|")[2].partition("\n\n")[0]
    assert re.search(rf"^\|[^|]*`(hubtune )?{command}\b", rows, re.MULTILINE), command


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.encode()) <= 15_000
    assert [page for page in PAGES if f"]({page})" not in README] == ["README.md"]


@pytest.mark.parametrize("section", TuneConfig.model_fields)
def test_every_config_section_has_a_heading_in_the_reference(section: str) -> None:
    assert f"### `{section}`\n\n{config_keys()[section].summary}." in PAGES["docs/config.md"]


@pytest.mark.parametrize("metric", BUILT_IN)
def test_every_metric_stands_in_the_table_of_measures(metric: str) -> None:
    rows = PAGES["docs/evaluation.md"].partition("| Metric | Measures |")[2].partition("\n\n")[0]
    assert re.search(rf"^\|[^|]*`{metric}`[^|]*\|", rows, re.MULTILINE), metric


# Each limit that docs/limits.md names, and a test that shows it.
LIMITS = {
    "No Xet storage.": "localhub/test_xet.py::test_an_upload_through_xet_ends_with_the_variable_that_it_lacks",
    "Pull requests on the embedded Hub are merged file by file": (
        "localhub/test_pull_requests.py::test_conflicts_are_named_and_stop_the_merge"
    ),
    "The embedded Hub only has repositories": (
        "localhub/test_hub_app.py::test_what_only_the_public_hub_has_is_named_as_missing_here"
    ),
    "Releases are not signed.": (
        "end_to_end/test_verify.py::test_an_honest_release_is_confirmed_but_for_what_was_not_asked"
    ),
    "`verify --evaluate` only repeats the evaluation of adapters, and only perplexity and bits per byte.": (
        "end_to_end/test_verify.py::test_merged_weights_are_verified_by_themselves_and_by_the_record_of_their_merge"
    ),
    "Only safetensors, and no encoder-decoder models.": (
        "pipeline/test_base_check.py::test_an_encoder_decoder_base_is_refused"
    ),
    "A quantized base model supports adapters only": (
        "models/test_base_facts.py::test_what_cannot_be_trained_is_refused_with_the_reason"
    ),
    "The Python code of a base model can run only for adapters of text-generation models.": (
        "end_to_end/test_remote_code.py::test_what_would_need_the_code_in_the_release_is_refused"
    ),
    "For classifiers, adapters are not merged and an earlier task is not measured": (
        "pipeline/test_trainable.py::test_a_classifier_s_adapter_cannot_be_published_merged"
    ),
    "A run with canaries is never published.": (
        "pipeline/test_canary_run.py::test_a_run_with_canaries_is_measured_and_refused_wherever_it_would_be_published"
    ),
    "Pruning compares the held-out loss only.": (
        "sweep/test_sweep_plan.py::test_a_sweep_that_cannot_run_is_one_error_that_names_the_fault"
    ),
    "Some license texts must come from the input's repository (Llama, Gemma, RAIL)": (
        "card/licensing/test_decision.py::test_a_licence_of_its_own_needs_its_text_as_well"
    ),
    "Screening finds patterns of personal data, not meanings": (
        "data/screening/test_detectors_measured.py::test_names_addresses_and_diagnoses_are_not_found"
    ),
}


def test_every_limit_has_a_test_that_shows_it() -> None:
    limits = PAGES["docs/limits.md"].partition("\n## ")[0]

    assert re.findall(r"^- \*\*(.+?)\*\*", limits, re.MULTILINE) == list(LIMITS)
    for test in LIMITS.values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (Path(__file__).parent / path).read_text(encoding="utf-8"), test


def test_every_way_to_train_stands_in_the_readme() -> None:
    (told,) = [part for part in README.split("\n\n") if part.startswith("`train.method` is ")]

    assert all(f"`{method}`" in told for method in get_args(Method))
    assert "classifier" in told
    assert "`--resume`" in told


def _asked_of_make(target: str) -> str:
    """What `make` would run for a target that the pages name."""
    # Not as a part of the make that may run the tests, which would have it say where it works.
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=CHECKOUT, check=True, capture_output=True, text=True, env=alone
    )
    return done.stdout


def test_make_test_needs_no_browser_and_make_test_all_opens_one() -> None:
    plain, whole = _asked_of_make("test"), _asked_of_make("test-all")

    assert "chromium" not in plain
    assert plain.splitlines()[-1].endswith("--tier test")
    for part in ("command -v chromium", "--tier rest", plain.splitlines()[-1]):
        assert part in whole, part


def test_ci_runs_what_contributors_are_told_to_run() -> None:
    ci = (CHECKOUT / ".ci/run").read_text(encoding="utf-8")

    assert re.search(r"^make test test-all$", ci, re.MULTILINE)
    assert "CI runs `make test test-all`" in PAGES["CONTRIBUTING.md"]
