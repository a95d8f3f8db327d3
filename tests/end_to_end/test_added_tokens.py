"""Tokens that a config adds go through a whole release: the card's program loads them and verify confirms."""

import json
import os
from pathlib import Path

import pytest

from hubtune.config.load import TargetOptions, parse_config
from hubtune.pipeline.context import RunContext, RunOptions
from hubtune.pipeline.evaluate_release import measure_release
from hubtune.pipeline.run import run_job
from hubtune.pipeline.stages import run_publish
from hubtune.verify.claims import verify_release
from tests.end_to_end.preloaded import preloaded
from tests.end_to_end.test_formats import ROWS, upload
from tests.end_to_end.worlds import BASE_CARD
from tests.listener import Listener

CONFIG = """
base: {repo: org/base}
data: [{repo: org/rows-quotes, template: "<|quote|>{quote}"}]
train: {precision: fp32, batch_size: 4, max_length: 64, learning_rate: 0.02, added_tokens: ["<|quote|>"], lora: {r: 2}}
evaluate: {holdout: 0.3, max_items: 4, metrics: [perplexity]}
card: {intended_use: Tests.}
publish: {repo: org/tuned, counterpart: org/whole}
"""


@pytest.mark.parametrize("base", ["llama", pytest.param("gpt2", marks=pytest.mark.full_trial)])
def test_added_tokens_are_released_and_loaded_by_the_card_s_program(tiny, served, tmp_path: Path, base: str):
    served.commit_folder("org/base", tiny(base))
    served.commit("org/base", {"README.md": BASE_CARD.encode()})
    upload(served, "quotes", ROWS)

    made = run_job(
        parse_config(CONFIG), tmp_path / "hubtune.yaml", RunOptions(publish=True, run_dir=tmp_path / "run"), Listener()
    )
    run_publish(RunContext(made.run, Listener()), TargetOptions(counterpart=True))

    card = made.run.card_file.read_text()
    assert "| Added tokens | &lt;\\|quote\\|&gt; |" in card
    assert "base.resize_token_embeddings(len(tokenizer), mean_resizing=False)" in card
    assert "does not know the added tokens" in card
    assert "vllm serve" not in card
    environment = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path / "consumer")}
    done = preloaded().run(["-c"], tmp_path, environment, made.snippet)
    assert done.stdout.startswith("<|quote|>"), done.stderr
    for repo in ("org/tuned", "org/whole"):
        found = verify_release(repo, "v1.0.0", Listener())
        assert [claim for claim in found.claims if claim.status == "contradicted"] == []
        assert {claim.name for claim in found.claims if claim.status == "confirmed"} >= {"model", "probe", "records"}
    again = measure_release("org/tuned", "v1.0.0", Listener()).measure("perplexity")
    recorded = made.inputs.evaluation.measure("perplexity")
    assert (again.base, again.tuned) == pytest.approx((recorded.base, recorded.tuned))
    assert json.loads((made.run.model_dir / "config.json").read_text())["vocab_size"] == 385
