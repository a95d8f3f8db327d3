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
from hubtune.records.base import LicenseRecord, PinSet, Record
from hubtune.records.data import DataRecord
from hubtune.records.release import CARD
from hubtune.records.results import EvaluationRecord, ProbeRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from tests.listener import Listener
from tests.once import Once
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
    made = {CARD: render_card(inputs).encode(), **LEGAL}
    return plan_release(run, config, str(config.publish.repo), base_folder, made)


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
def released_folder(once: Once) -> Path:
    """The folder of a Hub with one release; for copying only."""

    def make(root: Path) -> None:
        with pytest.MonkeyPatch.context() as patch, serve(root / "hub", root / "cache", patch):
            push(plan_of(_new(root / "plan")), Listener())

    return once("hub-of-one-release", make) / "hub"


@pytest.fixture
def released(released_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Released]:
    """A Hub of one's own with one release."""
    shutil.copytree(released_folder, tmp_path / "hub")
    (tmp_path / "hub/requests.jsonl").write_text("")
    with serve(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        yield Released(hub.url, hub.root, hub.cache, hub.token, first=hub.head(REPO))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


HOSTILE = "<script>alert(1)</script>|[x](javascript:alert)`*\x1b[31m"


@pytest.fixture(scope="session")
def several_folder(once: Once, released_folder: Path) -> Path:
    """The folder of the Hub that `several` serves; for copying only."""

    def make(root: Path) -> None:
        shutil.copytree(released_folder, root / "hub")
        with pytest.MonkeyPatch.context() as patch, serve(root / "hub", root / "cache", patch) as hub:
            _release_several(hub, root)

    return once("hub-of-several-releases", make) / "hub"


def _release_several(hub: ServedHub, root: Path) -> None:
    foreign = hub.api.list_repo_commits(REPO)[-1].commit_id
    second = push(plan_of(_new(root / "2"), *CHANGED, "publish.tag=v1.1.0", change=_better, weights=b"b"), Listener())
    push(plan_of(_new(root / "3"), *CHANGED, "publish.tag=v2.0.0", change=_other_data), Listener())
    lost = hub.commit(REPO, {"records/evaluation.json": b'{"measures": []}'})
    hub.commit(REPO, {"notes.md": b"mine"})
    hub.api.create_branch(REPO, branch="old", revision=foreign)
    foreign = hub.commit(REPO, {"README.md": FOREIGN_CARD.encode()}, revision="old")
    for tag, commit in {"v2.0.1": lost, "stable": second, "v0.1.0": foreign}.items():
        hub.api.create_tag(REPO, tag=tag, revision=commit)


@pytest.fixture(scope="module")
def several(several_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    """A Hub with a history, for reading only.

    v0.1.0 was not made by hubtune, v1.1.0 was trained anew by software of a hostile name, v2.0.0 is from other data,
    v2.0.1 lost its evaluation, `stable` is on v1.1.0, and main is a commit further than the newest tag.
    """
    root = tmp_path_factory.mktemp("several")
    shutil.copytree(several_folder, root / "hub")
    with pytest.MonkeyPatch.context() as patch, serve(root / "hub", root / "cache", patch) as hub:
        yield Released(hub.url, hub.root, hub.cache, hub.token, first=hub.tags(REPO)["v1.0.0"])


CHANGED = ("train.learning_rate=0.02", "card.intended_use=Tests of `code` and |.")
FOREIGN_CARD = """---
license: mit
model-index:
  - name: tuned
    results:
      - task: {type: text-generation}
        dataset: {type: org/sayings, name: Sayings}
        metrics: [{type: perplexity, value: 21.5}]
---
# Somebody's model
"""


def _better(record: Record) -> Record:
    """Another value of the measure, and a package of a hostile name and version."""
    if isinstance(record, TrainingRecord):
        environment = record.environment.model_copy(update={"packages": {"torch": "2.9.1", HOSTILE: HOSTILE}})
        return record.model_copy(update={"environment": environment})
    if not isinstance(record, EvaluationRecord):
        return record
    measure = record.measures[0].model_copy(update={"tuned": 19.0, "interval": (-13.0, -9.0)})
    return record.model_copy(update={"measures": [measure]})


def _other_data(record: Record) -> Record:
    """Another commit of the data, with other rows."""
    if isinstance(record, PinSet):
        return record.model_copy(update={"data": [record.data[0].model_copy(update={"commit": "e" * 40})]})
    if isinstance(record, DataRecord):
        source = record.sources[0].model_copy(update={"commit": "e" * 40, "fingerprint": "a" * 64})
        return record.model_copy(update={"sources": [source]})
    return record
