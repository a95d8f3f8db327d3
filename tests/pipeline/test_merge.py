"""Adapters are merged into the base that they were trained on: published ones, and a run's own."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubtune.errors import ConfigError, MergeError, RecordError
from hubtune.hub.snapshot import fetch
from hubtune.pipeline.merge import merge_published, merge_run
from hubtune.records.base import Pin, PinSet, sha256_file
from hubtune.records.release import MergeRecord
from hubtune.records.rundir import RunDirectory
from tests.end_to_end.worlds import digests
from tests.listener import Listener
from tests.models.merge_cases import make_adapter
from tests.sample_runs import sample_config, sample_pins, training_record
from tests.served_hub import ServedHub


@dataclass(frozen=True)
class Published:
    """A Hub with a base, whose main branch has moved on to other weights, and an adapter for the earlier commit."""

    hub: ServedHub
    base_commit: str
    adapter_commit: str
    adapter: Path

    def adapter_with(self, **changes: object) -> str:
        """Commits the adapter with another config, and returns the commit."""
        path = self.adapter / "adapter_config.json"
        config = {**json.loads(path.read_text()), **changes}
        return self.hub.commit("org/tuned", {"adapter_config.json": json.dumps(config).encode()})

    def asked(self, repo: str) -> set[str]:
        """The revisions of a repository that were asked for after it was made."""
        lines = [line for line in self.hub.requests() if line["repo"] == repo and line["method"] == "GET"]
        return {str(line["revision"]) for line in lines if line["revision"]}


@pytest.fixture
def published(served: ServedHub, llama: Path, tmp_path: Path) -> Published:
    base_commit = served.commit_folder("org/base", llama)
    adapter = make_adapter(llama, tmp_path / "adapter")
    path = adapter / "adapter_config.json"
    config = {**json.loads(path.read_text()), "base_model_name_or_path": "org/base", "revision": base_commit}
    path.write_text(json.dumps(config))
    commit = served.commit_folder("org/tuned", adapter)
    served.api.create_tag("org/tuned", tag="v1.0.0", revision=commit)
    served.commit("org/base", {"config.json": b"{}"})
    return Published(served, base_commit, commit, adapter)


@pytest.fixture
def run(published: Published, tmp_path: Path) -> RunDirectory:
    """A run whose adapter was trained on the base."""
    return run_of(published, tmp_path / "run", "lora")


def run_of(published: Published, path: Path, method: str) -> RunDirectory:
    base = Pin(repo="org/base", type="model", requested="main", commit=published.base_commit, license="mit")
    fetch(base)
    run = RunDirectory.create(sample_config(), path=path)
    run.write(PinSet(base=base, data=sample_pins().data))
    run.adapter_dir.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (run.adapter_dir / name).write_bytes((published.adapter / name).read_bytes())
    run.write(
        training_record(method=method, upstream=run.digests("config", "pins.json"), files=digests(run.adapter_dir))
    )
    return run


@pytest.mark.parametrize("by", ["tag", pytest.param("commit", marks=pytest.mark.full_trial)])
def test_the_base_s_revision_and_the_adapter_s_are_kept_apart(published, by, tmp_path):
    revision = {"tag": "v1.0.0", "commit": published.adapter_commit}[by]

    record = merge_published("org/tuned", revision, tmp_path / "out", Listener())

    assert record.base.model_dump() == {"repo": "org/base", "commit": published.base_commit}
    assert record.adapter is not None
    assert record.adapter.model_dump() == {"repo": "org/tuned", "commit": published.adapter_commit}
    assert record.files == digests(tmp_path / "out")
    assert record.trained_against == "not stated"
    assert published.asked("org/base") == {published.base_commit}
    assert published.asked("org/tuned") <= {published.adapter_commit, "v1.0.0"}
    assert not list((tmp_path / "out").glob("*.bin"))


@pytest.mark.parametrize("stated", [pytest.param(None, marks=pytest.mark.full_trial), "main"])
def test_a_base_without_a_commit_is_asked_for_and_never_guessed(published, stated, tmp_path):
    commit = published.adapter_with(revision=stated)

    with pytest.raises(ConfigError, match="does not name the commit of org/base") as caught:
        merge_published("org/tuned", commit, tmp_path / "out", Listener())
    assert "--base-revision" in str(caught.value.hint)
    assert published.asked("org/base") == set()

    record = merge_published("org/tuned", commit, tmp_path / "out", Listener(), base_revision=published.base_commit)
    assert record.base.commit == published.base_commit


def test_a_base_revision_that_contradicts_the_adapter_is_refused(published, tmp_path):
    with pytest.raises(ConfigError, match="another commit"):
        merge_published("org/tuned", "v1.0.0", tmp_path / "out", Listener(), base_revision="main")


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("/home/me/models/base", "not the id of a repository"),
        (None, r"the adapter org/tuned@[0-9a-f]{40} names no base model"),
        pytest.param("./base", "not the id of a repository", marks=pytest.mark.full_trial),
    ],
)
def test_a_base_that_is_no_repository_is_refused(published, base, said, tmp_path):
    commit = published.adapter_with(base_model_name_or_path=base)

    with pytest.raises(MergeError, match=said):
        merge_published("org/tuned", commit, tmp_path / "out", Listener())


def test_a_repository_without_an_adapter_is_refused_before_it_is_fetched(published, tmp_path):
    with pytest.raises(MergeError, match=r"no adapter_config\.json"):
        merge_published("org/base", published.base_commit, tmp_path / "out", Listener())
    assert not (published.hub.cache / "models--org--base").exists()


def test_a_run_s_adapter_is_merged_into_its_model_folder_and_recorded(run):
    record = merge_run(run, Listener())

    assert run.read(MergeRecord) == record
    assert record.files == digests(run.model_dir)
    assert record.adapter is None
    assert record.adapter_files == digests(run.adapter_dir)
    assert record.trained_against == record.merged_into == "full-precision base"
    assert record.fidelity_quantized is None
    assert record.fidelity.prompts == 8


def test_merging_again_replaces_the_model_and_compares_on_the_prompts_given(run):
    merge_run(run, Listener())
    (run.model_dir / "stray.txt").write_text("old")

    record = merge_run(run, Listener(), [[1, 5, 7, 9], [1, 2]])

    assert (record.fidelity.prompts, record.fidelity.positions) == (2, 6)
    assert not (run.model_dir / "stray.txt").exists()


def test_a_merge_that_is_refused_keeps_the_model_before(run):
    merge_run(run, Listener())
    before = digests(run.model_dir)
    config = json.loads((run.adapter_dir / "adapter_config.json").read_text())
    (run.adapter_dir / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    files = digests(run.adapter_dir)
    run.write(training_record(upstream=run.digests("config", "pins.json"), files=files))

    with pytest.raises(MergeError, match="use_dora"):
        merge_run(run, Listener())

    assert digests(run.model_dir) == before
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_a_merge_of_another_training_is_not_read_any_more(run):
    merge_run(run, Listener())
    run.write(training_record(upstream=run.digests("config", "pins.json"), files={}, seconds=9.0))

    with pytest.raises(RecordError, match=r"merge\.json .* made from another training\.json"):
        run.read(MergeRecord)


def test_an_adapter_that_was_changed_after_the_training_is_refused(run):
    path = run.adapter_dir / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(RecordError, match=r"adapter_model\.safetensors"):
        merge_run(run, Listener())
    assert not run.model_dir.exists()


def test_an_adapter_trained_on_four_bits_is_compared_with_both_bases(published, tmp_path):
    run = run_of(published, tmp_path / "run", "qlora")

    record = merge_run(run, Listener())

    assert (record.trained_against, record.merged_into) == ("4-bit base", "full-precision base")
    assert record.fidelity_quantized is not None
    assert (record.fidelity.reference, record.fidelity_quantized.reference) == ("full-precision base", "4-bit base")
    assert record.fidelity.kl < record.fidelity_quantized.kl
    assert sha256_file(run.model_dir / "tokenizer.json") == record.files["tokenizer.json"]
