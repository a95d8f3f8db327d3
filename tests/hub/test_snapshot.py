"""A pinned snapshot is fetched by its commit, checked byte by byte, and found again without a request."""

import shutil
from pathlib import Path

import pytest

from hubtune.errors import FileError, HubError, RecordError
from hubtune.hub.snapshot import cache_folder, cached, download_size, fetch
from hubtune.records.base import Pin, sha256_bytes

MODEL_FILES = {
    "model.safetensors": b"weights",
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "README.md": b"# Base\n",
    "LICENSE": b"MIT\n",
}
UNWANTED = {"pytorch_model.bin": b"pickle", "modeling_custom.py": b"import os\n", "tf_model.h5": b"tf"}


@pytest.fixture
def base(served) -> Pin:
    commit = served.commit("org/base", {**MODEL_FILES, **UNWANTED})
    return Pin(repo="org/base", type="model", requested="main", commit=commit)


def test_a_model_s_files_come_without_code_and_pickle(base: Pin):
    folder = fetch(base)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL_FILES


def test_a_data_set_s_files_all_come(served):
    files = {"data/train.csv": b"a\n1\n", "README.md": b"# Data\n", "extra.txt": b"x"}
    commit = served.commit("org/sayings", files, "dataset")

    folder = fetch(Pin(repo="org/sayings", type="dataset", requested="main", commit=commit))

    assert {path: (folder / path).read_bytes() for path in files} == files


def test_the_pinned_commit_is_fetched_when_main_has_moved_on(served, base: Pin):
    served.commit("org/base", {"config.json": b'{"moved": true}'})

    assert (fetch(base) / "config.json").read_bytes() == b"{}"


def test_every_request_of_a_fetch_names_the_commit(served, base: Pin):
    before = len(served.requests())

    fetch(base)

    asked = [line for line in served.requests()[before:] if line["repo"] == "org/base"]
    assert asked
    assert {line["revision"] for line in asked} == {base.commit}


def test_the_arriving_bytes_are_counted(base: Pin):
    counts: list[int] = []

    fetch(base, counts.append)

    assert sum(counts) == sum(len(content) for content in MODEL_FILES.values())


def test_the_size_told_before_is_that_of_what_comes():
    sizes = {path: len(content) for path, content in {**MODEL_FILES, **UNWANTED}.items()}

    assert download_size("model", sizes) == sum(len(content) for content in MODEL_FILES.values())
    assert download_size("dataset", sizes) == sum(sizes.values())


def test_a_large_file_that_the_hub_serves_damaged_is_found_and_not_left_in_the_cache(served, base: Pin):
    (stored,) = (served.root / "objects").rglob(sha256_bytes(MODEL_FILES["model.safetensors"]))
    stored.write_bytes(b"WEIGHTS")

    with pytest.raises(HubError, match=r"model\.safetensors of org/base at .* was damaged"):
        fetch(base)

    assert not [path for path in served.cache.rglob("*") if path.is_file() and path.read_bytes() == b"WEIGHTS"]
    with pytest.raises(RecordError):
        cached(base)
    stored.write_bytes(b"weights")
    assert (fetch(base) / "model.safetensors").read_bytes() == b"weights"
    assert (cached(base) / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize("content", [b"WEIGHTS", b"weig", b""])
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_damaged_in_the_cache_is_fetched_anew(base: Pin, name: str, content: bytes):
    blob = (fetch(base) / name).resolve()
    blob.write_bytes(content)

    assert (fetch(base) / name).read_bytes() == MODEL_FILES[name]


@pytest.mark.parametrize("content", [b"WEIGHTS", b"weig", b""])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_damaged_in_the_cache_is_not_loaded_by_a_later_stage(served, base: Pin, known: bool, content: bytes):
    """Also where somebody else's client fetched it, and left no digests but in the names of its files."""
    blob = (fetch(base) / "model.safetensors").resolve()
    if not known:
        shutil.rmtree(served.cache / "hubtune-digests")
    blob.write_bytes(content)
    before = len(served.requests())

    with pytest.raises(RecordError, match=r"model\.safetensors of org/base .* damaged in the local cache") as caught:
        cached(base)

    assert "hubtune pin" in str(caught.value.hint)
    assert len(served.requests()) == before
    assert not blob.exists()
    assert (fetch(base) / "model.safetensors").read_bytes() == b"weights"


def test_a_content_that_another_commit_left_damaged_is_not_linked_to(served, base: Pin):
    blob = (fetch(base) / "tokenizer.json").resolve()
    moved = served.commit("org/base", {"config.json": b'{"moved": true}'})
    blob.write_bytes(b'{"a": 2}')

    assert (fetch(base.model_copy(update={"commit": moved})) / "tokenizer.json").read_bytes() == b'{"a": 1}'


def test_a_file_that_was_found_right_is_not_read_again(base: Pin, monkeypatch):
    fetch(base)
    monkeypatch.setattr("hubtune.hub.integrity.KnownFile.is_right", lambda *_: pytest.fail("it was read again"))

    assert cached(base)
    assert cached(base)


def test_a_file_that_was_lost_from_the_cache_is_told(base: Pin):
    (fetch(base) / "config.json").resolve().unlink()

    with pytest.raises(RecordError, match="no longer in the local cache"):
        cached(base)

    assert (fetch(base) / "config.json").read_bytes() == b"{}"


def test_a_fetched_snapshot_is_found_again_without_any_request(served, base: Pin):
    folder = fetch(base)
    before = len(served.requests())

    assert cached(base) == folder
    assert len(served.requests()) == before


def test_a_snapshot_that_is_not_in_the_cache_is_named_with_the_command_that_fetches_it(served, base: Pin):
    before = len(served.requests())

    with pytest.raises(RecordError, match=f"org/base at {base.commit}") as caught:
        cached(base)

    assert "hubtune pin" in str(caught.value.hint)
    assert len(served.requests()) == before


def test_another_commit_than_the_cached_one_is_not_taken_for_it(served, base: Pin):
    fetch(base)
    moved = served.commit("org/base", {"config.json": b'{"moved": true}'})

    with pytest.raises(RecordError):
        cached(base.model_copy(update={"commit": moved}))


def test_snapshots_lie_in_the_client_s_cache(served, base: Pin):
    assert cache_folder() == served.cache
    assert served.cache in Path(fetch(base)).parents


@pytest.mark.parametrize("place", ["", "blobs", "snapshots", "snapshots/{commit}"])
def test_no_folder_of_a_repository_is_a_link_to_another_place(served, base: Pin, tmp_path: Path, place: str):
    folder = fetch(base)
    linked = folder.parent.parent / place.format(commit=base.commit)
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    held = sorted((tmp_path / "elsewhere").rglob("*"))
    before = len(served.requests())

    for use in (fetch, cached):
        with pytest.raises(FileError) as caught:
            use(base)
        assert f"{linked} is a symbolic link" in caught.value.message
        assert f"rm {linked}" in str(caught.value.hint)

    assert sorted((tmp_path / "elsewhere").rglob("*")) == held
    assert not [line for line in served.requests()[before:] if "/resolve/" in line["path"]]
    linked.unlink()
    assert (fetch(base) / "config.json").read_bytes() == b"{}"


def test_the_whole_cache_may_be_a_link(base: Pin, tmp_path: Path):
    cache = cache_folder()
    cache.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "large-disk").mkdir()
    cache.symlink_to(tmp_path / "large-disk")

    assert (fetch(base) / "config.json").read_bytes() == b"{}"
    assert (cached(base) / "config.json").read_bytes() == b"{}"
    assert any((tmp_path / "large-disk").rglob("config.json"))
