"""A published adapter is pinned at its commit and trained further on other rows."""

import json
from pathlib import Path

from safetensors.torch import load_file

from hubtune.config.load import parse_config
from hubtune.pin import read_lock
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.run import run_job
from hubtune.verify.claims import verify_release
from tests.end_to_end.test_formats import ROWS, upload
from tests.end_to_end.worlds import BASE_CARD
from tests.listener import Listener

CONFIG = """
base: {repo: org/base}
data: [{repo: org/rows-first, text: quote}]
train: {precision: fp32, batch_size: 4, max_length: 64, learning_rate: 0.02, lora: {r: 2}}
evaluate: {holdout: 0.3, max_items: 4, metrics: [perplexity]}
card: {intended_use: Tests.}
publish: {repo: org/first}
"""
FURTHER = [
    "base.adapter={repo: org/first, revision: v1.0.0}",
    "data[0].repo=org/rows-second",
    "publish.repo=org/second",
    # As good as none, so that what was there at the start shows.
    "train.learning_rate=1.0e-9",
]


def test_a_published_adapter_is_pinned_and_trained_further(served, gpt2: Path, tmp_path: Path):
    served.commit_folder("org/base", gpt2)
    served.commit("org/base", {"README.md": BASE_CARD.encode()})
    upload(served, "first", ROWS[:12])
    upload(served, "second", ROWS[12:])
    first = run_job(
        parse_config(CONFIG), tmp_path / "hubtune.yaml", RunOptions(publish=True, run_dir=tmp_path / "one"), Listener()
    )

    lock = tmp_path / "second" / "hubtune.yaml"
    lock.parent.mkdir()
    second = run_job(
        parse_config(CONFIG, FURTHER), lock, RunOptions(publish=True, run_dir=tmp_path / "two"), Listener()
    )

    pin = second.inputs.pins.adapter
    assert (pin.repo, pin.requested, pin.commit) == ("org/first", "v1.0.0", first.release.commit)
    assert read_lock(lock.parent / "hubtune.lock") == second.inputs.pins
    assert "adapter" not in json.loads((first.run.path / "pins.json").read_text())
    assert f"org/first at commit {first.release.commit}" in second.run.card_file.read_text()
    claims = {claim.name: claim.status for claim in verify_release("org/second", "v1.0.0", Listener()).claims}
    assert claims["adapter:org/first"] == claims["records"] == claims["probe"] == "confirmed"
    before, after = (load_file(made.run.adapter_dir / "adapter_model.safetensors") for made in (first, second))
    assert before.keys() == after.keys()
    assert max((after[name] - before[name]).abs().max() for name in before) < 1e-6
    settings = json.loads((second.run.adapter_dir / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("org/base", served.head("org/base"))
    assert second.inputs.evaluation.measure("perplexity").difference != 0
