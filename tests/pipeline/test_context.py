"""A run's context reads each input once, and not before a stage asks for it."""

from pathlib import Path

import pytest

from hubtune.errors import RecordError
from hubtune.hub.snapshot import fetch
from hubtune.pipeline.context import RunContext, RunOptions
from hubtune.records.base import Pin, PinSet
from hubtune.records.rundir import RunDirectory
from tests.listener import Listener
from tests.sample_runs import sample_config, sample_pins
from tests.served_hub import ServedHub
from tests.tiny_models import CONTEXT


@pytest.fixture
def run(served: ServedHub, llama: Path, tmp_path: Path) -> RunDirectory:
    base = Pin(repo="org/base", type="model", requested="main", commit=served.commit_folder("org/base", llama))
    fetch(base)
    run = RunDirectory.create(sample_config("train.added_tokens=['<|by|>']"), path=tmp_path / "run")
    run.write(PinSet(base=base, data=sample_pins().data))
    return run


def test_every_stage_gets_the_same_base_with_the_tokens_that_the_config_adds(run: RunDirectory, monkeypatch):
    context = RunContext(run, Listener())
    base = context.base
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", None)

    assert context.base is base
    assert (base.name, base.context_length) == ("org/base", CONTEXT)
    assert base.tokenizer.tokenize("<|by|>") == ["<|by|>"]


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path):
    context = RunContext(RunDirectory(tmp_path), Listener())

    with pytest.raises(RecordError, match=r"has no pins\.json yet"):
        _ = context.pins


def test_opening_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(RecordError, match="is not a run directory"):
        RunContext.open(tmp_path, Listener())


def test_the_folder_of_a_run_is_the_one_that_is_given_else_that_of_all_runs():
    assert RunOptions(run_dir=Path("a")).folder == Path("a")
    assert RunOptions().folder == Path("runs")
