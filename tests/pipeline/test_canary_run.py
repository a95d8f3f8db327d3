"""A run with canaries measures how well they are known, says so on its card, and is not published by any way."""

import shutil
from pathlib import Path

import pytest
import yaml

from hubtune.config.load import load_config
from hubtune.errors import CanariesError
from hubtune.pipeline.context import RunContext, RunOptions
from hubtune.pipeline.run import run_job
from hubtune.pipeline.stages import run_publish
from hubtune.records.data import DataRecord
from tests.sample_runs import BASE_REPO, DATA_REPO, saying, write_json_lines

CONFIG = {
    "base": {"repo": BASE_REPO},
    "data": [{"repo": DATA_REPO, "template": "{author}: {quote}"}],
    "train": {"precision": "fp32", "batch_size": 16, "max_length": 64, "epochs": 2, "lora": {"r": 2}},
    "evaluate": {"holdout": 0.2, "canaries": 10, "batch_size": 512, "metrics": ["memorisation", "contamination"]},
    "card": {"license": "mit", "intended_use": "Tests."},
    "publish": {"repo": "org/tuned"},
}


def test_a_run_with_canaries_is_measured_and_refused_wherever_it_would_be_published(
    served, listener, llama: Path, tmp_path: Path
):
    base = shutil.copytree(llama, tmp_path / "base")
    (base / "README.md").write_text("---\nlicense: mit\n---\n")
    data = write_json_lines(tmp_path / "data", [saying(number) for number in range(60)])
    (data / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    served.commit_folder(BASE_REPO, base)
    served.commit_folder(DATA_REPO, data, "dataset")
    file = tmp_path / "hubtune.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    config = load_config(file)

    def run(*, publish: bool, resume: bool = False):
        options = RunOptions(publish=publish, resume=resume, run_dir=tmp_path / "run")
        return run_job(config, file, options, listener)

    with pytest.raises(CanariesError):
        run(publish=True)
    assert not (tmp_path / "run").exists()

    made = run(publish=False)

    record = made.run.read(DataRecord)
    assert record.canaries is not None
    assert record.canaries.rows == 10
    assert record.sources[0].rows == 60 == record.sources[0].kept + sum(record.sources[0].dropped.values())
    measures = {measure.name: measure for measure in made.inputs.evaluation.measures}
    assert set(measures) == {
        *("memorisation", "memorisation_held_out", "memorisation_excess", "contamination", "canary_exposure")
    }
    assert measures["canary_exposure"].status == "measured"
    assert 0 <= measures["canary_exposure"].base < 5
    assert (measures["contamination"].n, measures["contamination"].base) == (record.held_out.rows, None)
    card = made.run.card_file.read_text()
    assert "Do not publish a model that was trained on canaries." in card
    for refused in (lambda: run(publish=True, resume=True), lambda: run_publish(RunContext(made.run, listener))):
        with pytest.raises(CanariesError, match="10 planted secrets"):
            refused()
    assert served.commits_sent() == 2
