"""A release is fetched at one commit with the base that it was trained on, and what it lacks is told."""

import json
from pathlib import Path

import pytest

from hubtune.errors import HubtuneError, NoSafetensorsError, ReleaseError, RevisionNotFoundError
from hubtune.pipeline.published import fetch_release
from tests.sample_releases import BASE, RELEASE, TAG, release_adapter, tag_release

ADAPTER = {"adapter_model.safetensors": b"weights"}


def test_a_tag_leads_to_the_files_of_its_commit_and_to_the_pinned_base(served, chat: Path, tmp_path: Path, listener):
    made = release_adapter(served, chat, tmp_path)

    found = fetch_release(RELEASE, TAG, listener)

    assert (found.repo, found.commit, found.artifact) == (RELEASE, made.commit, "adapter")
    assert (found.base_repo, found.base_commit) == (BASE, made.base_commit)
    assert {name: (found.folder / name).read_bytes() for name in made.files} == made.files
    assert (found.base_folder / "config.json").read_bytes() == (chat / "config.json").read_bytes()
    assert fetch_release(RELEASE, made.commit, listener) == found


def test_the_hub_is_asked_once_for_the_tag_and_then_for_commits_alone(served, chat: Path, tmp_path: Path, listener):
    made = release_adapter(served, chat, tmp_path)
    before = len(served.requests())

    fetch_release(RELEASE, TAG, listener)

    first, refs, *others = served.requests()[before:]
    assert (first["repo"], first["revision"]) == (RELEASE, TAG)
    assert (refs["repo"], refs["path"].endswith("/refs")) == (RELEASE, True)
    assert {(line["repo"], line["revision"]) for line in others} == {
        (RELEASE, made.commit),
        (BASE, made.base_commit),
    }


def test_merged_weights_need_no_base(served, chat: Path, listener):
    commit = tag_release(served, {path.name: path.read_bytes() for path in chat.iterdir()})

    found = fetch_release(RELEASE, TAG, listener)

    assert (found.commit, found.artifact, found.base_repo, found.base_folder) == (commit, "merged", None, None)
    assert (found.folder / "model.safetensors").is_file()


def test_neither_code_nor_pickle_is_fetched(served, chat: Path, listener):
    files = {path.name: path.read_bytes() for path in chat.iterdir()}
    tag_release(served, {**files, "modeling_evil.py": b"evil", "pytorch_model.bin": b"evil", "training_args.bin": b""})

    found = fetch_release(RELEASE, TAG, listener)

    assert not [path for path in found.folder.rglob("*") if path.suffix in (".py", ".bin")]


def _config(**values: object) -> dict[str, bytes]:
    stated = {"peft_type": "LORA", "base_model_name_or_path": BASE, **values}
    return {"adapter_config.json": json.dumps(stated).encode()}


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"README.md": b"# Nothing\n"}, ReleaseError, "neither an adapter nor a model"),
        ({"config.json": b"{}", "other.safetensors": b""}, ReleaseError, "neither an adapter nor a model"),
        ({**_config(), "adapter_model.bin": b"pickle"}, NoSafetensorsError, "it has adapter_model.bin"),
        ({**_config(), **ADAPTER}, ReleaseError, "does not pin its base lab/base to a commit: its revision is None"),
        ({**_config(revision="main"), **ADAPTER}, ReleaseError, "its revision is 'main'"),
        (
            {**_config(revision="b" * 40, base_model_name_or_path="/home/ann/base"), **ADAPTER},
            ReleaseError,
            "names no base on the Hub: '/home/ann/base'",
        ),
        ({"adapter_config.json": b"not JSON", **ADAPTER}, ReleaseError, "is not JSON"),
        ({"adapter_config.json": b"[]", **ADAPTER}, ReleaseError, "does not hold a JSON object"),
        ({"adapter_config.json": b"\xff", **ADAPTER}, ReleaseError, "is not UTF-8"),
    ],
)
def test_what_a_release_lacks_is_told(served, listener, files: dict[str, bytes], error: type[HubtuneError], words: str):
    commit = tag_release(served, files)

    with pytest.raises(error) as caught:
        fetch_release(RELEASE, TAG, listener)

    assert words in caught.value.message
    assert commit in caught.value.message
    assert caught.value.hint


def test_a_base_that_lost_its_pinned_commit_is_told(served, chat: Path, listener):
    served.commit_folder(BASE, chat)
    tag_release(served, {**_config(revision="b" * 40), **ADAPTER})

    with pytest.raises(RevisionNotFoundError, match="lab/base has no revision 'bbbb"):
        fetch_release(RELEASE, TAG, listener)
