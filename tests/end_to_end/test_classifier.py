"""A classifier goes from labeled rows to a release that the card's own program loads and verify confirms."""

import os
from pathlib import Path

import pytest

from hubtune.config.load import parse_config
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.evaluate_release import measure_release
from hubtune.pipeline.run import run_job
from hubtune.verify.claims import verify_release
from tests.end_to_end.preloaded import preloaded
from tests.end_to_end.test_formats import ROWS, upload
from tests.end_to_end.worlds import BASE_CARD
from tests.listener import Listener

CONFIG = """
base: {repo: org/base}
data: [{repo: org/rows-short, format: classification}]
train: {precision: fp32, method: METHOD, batch_size: 4, max_length: 32, learning_rate: 0.003}
evaluate: {holdout: 0.3}
card: {intended_use: Tests.}
publish: {repo: org/tuned-METHOD}
"""


@pytest.mark.parametrize(
    ("base", "method"), [("bert", "lora"), pytest.param("gpt2", "full", marks=pytest.mark.full_trial)]
)
def test_a_classifier_is_released_loaded_by_its_card_s_program_and_verified(
    tiny, served, tmp_path: Path, base: str, method: str
):
    served.commit_folder("org/base", tiny(base))
    served.commit("org/base", {"README.md": BASE_CARD.encode()})
    rows = [{"text": row["quote"], "label": "short" if len(row["quote"]) < 60 else "long"} for row in ROWS]
    upload(served, "short", rows)
    config = parse_config(CONFIG.replace("METHOD", method))

    outcome = run_job(config, tmp_path / "hubtune.yaml", RunOptions(publish=True, run_dir=tmp_path / "run"), Listener())

    card = outcome.run.card_file.read_text()
    assert "pipeline_tag: text-classification" in card
    assert "AutoModelForSequenceClassification" in card
    assert (
        "the base model has no classification head; a classifier that always predicts the most frequent class gets"
        in card
    )
    classes = outcome.inputs.data.train.classes
    assert f"| `long` | {classes['long']} |" in card
    environment = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path / "consumer")}
    done = preloaded().run(["-c"], tmp_path, environment, outcome.snippet)
    assert done.stdout.strip() in ("long", "short"), done.stderr
    found = verify_release(outcome.release.repo, outcome.release.tag, Listener())
    assert {claim.name: claim.status for claim in found.claims if claim.status == "contradicted"} == {}
    assert {claim.name for claim in found.claims if claim.status == "confirmed"} >= {"model", "probe"}
    again = measure_release(outcome.release.repo, outcome.release.tag, Listener())
    assert again.measure("accuracy").tuned == outcome.inputs.evaluation.measure("accuracy").tuned
