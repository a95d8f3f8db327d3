"""A repository with releases of runs that were made without torch, on an embedded Hub."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubtune import __version__
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.render import render_card
from hubtune.pipeline.licensing import decide_release
from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.publish.push import push
from hubtune.records.base import Record
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.licenses import LicenseRecord
from hubtune.records.pins import PinSet
from hubtune.records.probe import ProbeRecord
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord
from tests.listener import Listener
from tests.sample_runs import LEGAL, finished_run
from tests.served_hub import ServedHub, serve

REPO = "org/tuned"
WEIGHTS = "adapter_model.safetensors"
_ORDER = (PinSet, LicenseRecord, DataRecord, TrainingRecord, EvaluationRecord, ProbeRecord)


def plan_of(
    folder: Path, *overrides: str, change: Callable[[Record], Record] | None = None, weights: bytes = b"weights"
) -> ReleasePlan:
    """Plans the release of a new run in `folder`, with the card that its records give.

    Args:
        folder: Where the run is made.
        overrides: Changes of the sample config.
        change: Gets each record and returns that which the run is to have.
        weights: The adapter's.
    """
    run = finished_run(folder / "run", *overrides, weights=weights)
    if change is not None:
        _change(run, change)
    base_folder = folder / "base"
    base_folder.mkdir()
    (base_folder / "tokenizer.json").write_text("{}")
    config = run.config()
    inputs = CardInputs(
        config=config,
        pins=run.read(PinSet),
        data=run.read(DataRecord),
        training=run.read(TrainingRecord),
        evaluation=run.read(EvaluationRecord),
        licenses=decide_release(config, run.read(LicenseRecord).inputs),
        target=ReleaseTarget(str(config.publish.repo), config.publish.tag),
        version=__version__,
    )
    return plan_release(run, config, str(config.publish.repo), base_folder, render_card(inputs), LEGAL)


def _change(run: RunDirectory, change: Callable[[Record], Record]) -> None:
    """Replaces the run's records, each of which then says that it was made from those before it."""
    records = [run.read(kind) for kind in _ORDER]
    for record in map(change, records):
        upstream = getattr(record, "upstream", None)
        run.write(record.model_copy(update={"upstream": run.digests(*upstream)}) if upstream else record)


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., ReleasePlan]:
    """Plans the release of a new run; see `plan_of`."""
    count = iter(range(100))
    return lambda *overrides, **content: plan_of(_new(tmp_path / f"plan-{next(count)}"), *overrides, **content)


@pytest.fixture
def release(plan: Callable[..., ReleasePlan], listener: Listener) -> Callable[..., str]:
    """Publishes a new run and returns the commit."""
    return lambda *overrides, **content: push(plan(*overrides, **content), listener)


@dataclass(frozen=True)
class Released(ServedHub):
    """A served Hub with one release, v1.0.0 of org/tuned, on the head of main."""

    first: str = ""

    def commit_file(self, path: str) -> str:
        """Commits a file of somebody's to main and returns the commit."""
        return self.commit(REPO, {path: b"mine"})

    def branches(self) -> dict[str, str]:
        return {ref.name: ref.target_commit for ref in self.api.list_repo_refs(REPO).branches}

    def contents(self, revision: str) -> dict[str, bytes]:
        """Path to content of all that a revision holds."""
        folder = Path(self.api.snapshot_download(REPO, revision=revision, cache_dir=self.cache.with_name("read")))
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".gitattributes")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def released_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Hub with one release; for copying only."""
    root = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch, serve(root / "hub", root / "cache", patch):
        push(plan_of(_new(root / "plan")), Listener())
    return root / "hub"


@pytest.fixture
def released(released_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Released]:
    """A Hub of one's own with one release."""
    shutil.copytree(released_folder, tmp_path / "hub")
    (tmp_path / "hub/requests.jsonl").write_text("")
    with serve(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        yield Released(hub.url, hub.root, hub.cache, hub.token, hub.head(REPO))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
