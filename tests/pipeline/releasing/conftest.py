"""A repository with releases of runs that were made without torch, on an embedded Hub."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune import __version__
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.render import render_card
from hubtune.pipeline.licensing import decide_release
from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.publish.push import push
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.licenses import LicenseRecord
from hubtune.records.pins import PinSet
from hubtune.records.training import TrainingRecord
from tests.listener import Listener
from tests.sample_runs import LEGAL, finished_run

REPO = "org/tuned"
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., ReleasePlan]:
    """Plans the release of a new run, with the card that its records give."""
    base_folder = tmp_path / "base"
    base_folder.mkdir()
    (base_folder / "tokenizer.json").write_text("{}")
    count = 0

    def make(
        *overrides: str, pins: PinSet | None = None, measures: list[Measure] | None = None, weights: bytes = b"weights"
    ) -> ReleasePlan:
        nonlocal count
        count += 1
        run = finished_run(tmp_path / f"run-{count}", *overrides, weights=weights)
        if pins is not None:
            _repin(run, pins)
        if measures is not None:
            run.write(run.read(EvaluationRecord).model_copy(update={"measures": measures}))
        config = run.config()
        inputs = CardInputs(
            config=config,
            pins=run.read(PinSet),
            data=run.read(DataRecord),
            training=run.read(TrainingRecord),
            evaluation=run.read(EvaluationRecord),
            licenses=decide_release(config, run.read(LicenseRecord).inputs),
            target=ReleaseTarget(config.publish.repo, config.publish.tag),
            version=__version__,
        )
        return plan_release(run, config, config.publish.repo, base_folder, render_card(inputs), LEGAL)

    return make


def _repin(run, pins: PinSet) -> None:
    """Makes the run's records say that it was made from other pins."""
    records = [run.read(kind) for kind in (LicenseRecord, DataRecord, TrainingRecord, EvaluationRecord)]
    probe = run.path / "probe.json"
    run.write(pins)
    for record in records:
        upstream = run.digests(*record.upstream)
        run.write(record.model_copy(update={"upstream": upstream}))
    from hubtune.records.probe import ProbeRecord

    made = ProbeRecord.model_validate_json(probe.read_bytes())
    run.write(made.model_copy(update={"upstream": run.digests(*made.upstream)}))


@pytest.fixture
def release(plan_of, listener: Listener) -> Callable[..., str]:
    """Publishes a new run and returns the commit."""
    return lambda *overrides, **content: push(plan_of(*overrides, **content), listener)
