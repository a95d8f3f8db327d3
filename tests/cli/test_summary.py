"""The end of a run tells the measures, where everything is, and how to use it."""

from pathlib import Path

import pytest

from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.licensing.decision import decide
from hubtune.cli.run import measure_lines, outcome_lines
from hubtune.pipeline.run import Outcome
from hubtune.records.base import PinSet
from hubtune.records.data import DataRecord
from hubtune.records.release import ReleaseRecord
from hubtune.records.results import EvaluationRecord, Measure, TrainingRecord
from tests.sample_runs import ENVIRONMENT, finished_run, sample_licenses

MEASURED = Measure(
    name="perplexity",
    split="held-out",
    n=251,
    tokens=9000,
    base=40.0,
    tuned=30.0,
    interval=(-12.0, -8.0),
    status="measured",
)


def _record(measure: Measure) -> EvaluationRecord:
    return EvaluationRecord(
        upstream={}, measures=[measure], precision="fp32", batch_size=4, max_items=None, seed=1, environment=ENVIRONMENT
    )


def _outcome(folder: Path, *, released: bool) -> Outcome:
    run = finished_run(folder)
    inputs = CardInputs(
        config=run.config(),
        pins=run.read(PinSet),
        data=run.read(DataRecord),
        training=run.read(TrainingRecord),
        evaluation=run.read(EvaluationRecord),
        licenses=decide(sample_licenses()),
        target=ReleaseTarget("org/tuned", "v1.0.0") if released else None,
        version="0.1.0",
    )
    release = ReleaseRecord(
        repo="org/tuned",
        commit="c" * 40,
        tag="v1.0.0",
        artifact="adapter",
        url="http://127.0.0.1:1/org/tuned/tree/v1.0.0",
        files={},
        run_dir=str(run.path),
    )
    return Outcome(run=run, inputs=inputs, release=release if released else None)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "perplexity: base 40.00, tuned 30.00 (-25.0%) on 251 held-out rows"),
        ({"tuned": 44.0}, "perplexity: base 40.00, tuned 44.00 (+10.0%) on 251 held-out rows"),
        (
            {"n": 3, "interval": None, "status": "insufficient data", "detail": "3 rows are held out"},
            "perplexity: base 40.00, tuned 30.00 (-25.0%) on 3 held-out rows; 3 rows are held out",
        ),
        ({"base": None, "tuned": None, "interval": None, "status": "not assessed"}, "perplexity: not assessed"),
        (
            {"base": None, "tuned": None, "interval": None, "status": "failed", "detail": "ValueError: 3"},
            "perplexity: failed; ValueError: 3",
        ),
        (
            {"name": "gap", "group": "bias", "split": "templates", "base": -0.001, "tuned": 0.1},
            "gap: base -0.001, tuned 0.1 on 251 templates",
        ),
        ({"base": None, "interval": None}, "perplexity: tuned 30.00 on 251 held-out rows"),
        (
            {"name": "forgetting", "split": "earlier held-out", "base": None, "tuned": 0.25},
            "forgetting: tuned 0.25 on 251 earlier held-out rows",
        ),
        (
            {"name": "ended", "base": 0.0, "tuned": 0.0123, "seconds": 3.14159},
            "ended: base 0.00, tuned 0.0123 on 251 held-out rows (3.1 s)",
        ),
    ],
)
def test_a_measure_is_one_line_with_change_and_rows(changes: dict[str, object], line: str):
    assert measure_lines(_record(MEASURED.model_copy(update=changes))) == [line]


def test_without_release_the_run_is_named_and_how_to_publish_it(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    lines = outcome_lines(_outcome(tmp_path / "run", released=False), None)

    assert f"Run:     {tmp_path / 'run'}" in lines
    assert lines[-1] == "Nothing was published. To publish this run: hubtune publish run"
    assert not any("HF_ENDPOINT" in line for line in lines)


def test_a_release_is_named_with_its_commit_and_the_code_that_loads_it(tmp_path: Path):
    lines = outcome_lines(_outcome(tmp_path / "run", released=True), None)

    assert {"Repo:    org/tuned", "Tag:     v1.0.0", f"Commit:  {'c' * 40}"} <= set(lines)
    snippet = "\n".join(lines[lines.index("Load it in Python:") + 1 :])
    compile(snippet, "snippet", "exec")
    assert "org/tuned" in snippet
    assert "v1.0.0" in snippet
    assert not any("HF_ENDPOINT" in line for line in lines)


def test_a_release_on_the_embedded_hub_says_how_to_serve_it_again(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    lines = outcome_lines(_outcome(tmp_path / "run", released=True), tmp_path / "hub")

    (served,) = (line.strip() for line in lines if "hubtune hub serve" in line)
    port = served.rpartition(" ")[2]
    assert served == f"hubtune hub serve hub --port {port}"
    assert any(f"in a browser at http://127.0.0.1:{port}/org/tuned" in line for line in lines)
    assert f"    export HF_ENDPOINT=http://127.0.0.1:{port} HF_HUB_DISABLE_XET=1" in lines
