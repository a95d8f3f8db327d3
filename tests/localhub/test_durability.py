"""In which order a commit reaches the disk: what a power cut leaves is an old commit or a new one."""

import errno
import hashlib
import json
import os
import subprocess
from itertools import count
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from hubtune.localhub import EmbeddedHub


@pytest.fixture
def steps(monkeypatch, root):
    """Every flush of a file or folder, and every rename to its final name, as paths below the Hub's folder."""
    seen: list[tuple[str, str]] = []
    flush, replace, rename = os.fsync, os.replace, os.rename

    def note(step: str, path: str | bytes | os.PathLike) -> None:
        text = os.fsdecode(path)
        if text.startswith(str(root)):
            seen.append((step, os.path.relpath(text, root)))

    def noted_flush(descriptor: int) -> None:
        flush(descriptor)
        note("flush", Path(f"/proc/self/fd/{descriptor}").readlink())

    def noted(move):
        def moved(source, target, **options) -> None:
            move(source, target, **options)
            note("from", source)
            note("to", target)

        return moved

    monkeypatch.setattr(os, "fsync", noted_flush)
    monkeypatch.setattr(os, "replace", noted(replace))
    monkeypatch.setattr(os, "rename", noted(rename))
    return seen


def moves(steps) -> list[tuple[int, str, str]]:
    """Each rename: its position, from where, to where."""
    return [(index, path, steps[index + 1][1]) for index, (step, path) in enumerate(steps) if step == "from"]


def assert_flushed_around(steps, moved) -> None:
    index, source, target = moved
    assert ("flush", source) in steps[:index], f"{target} was renamed before its content was on the disk"
    assert ("flush", str(Path(target).parent)) in steps[index:], f"the name {target} never was on the disk"


@pytest.mark.parametrize("count", [1, 150])
def test_objects_are_on_the_disk_before_the_branch_moves_and_the_branch_before_the_answer(api, model, steps, count):
    additions = [CommitOperationAdd(f"{n}.txt", str(n).encode()) for n in range(count)]
    steps.clear()
    api.create_commit(model, additions, commit_message="m")
    made = moves(steps)
    branch = made[-1]
    assert branch[2] == "repos/models/org/model.git/refs/heads/main"
    assert_flushed_around(steps, branch)
    assert len(made) > 2
    for moved in made[:-1]:
        # A pack is moved in whole, and flushed under its final name's folder like the rest.
        assert_flushed_around(steps[: branch[0]], moved)


def test_a_large_file_is_on_the_disk_before_its_upload_is_answered(api, model, steps):
    steps.clear()
    api.upload_file(path_or_fileobj=b"\0" * 5000, path_in_repo="w.bin", repo_id=model)
    large = next(moved for moved in moves(steps) if moved[2].startswith("objects/"))
    assert_flushed_around(steps, large)
    # The folders above are new too.
    for folder in ("objects", str(Path(large[2]).parents[1])):
        assert ("flush", folder) in steps
    # That the repository has it is on the disk only once the content is.
    ledger = ("flush", "repos/models/org/model.git/large-files")
    assert ledger in steps[large[0] :]


def test_a_repository_is_on_the_disk_before_it_has_its_name(api, steps, root):
    api.create_repo("org/new")
    named = next(moved for moved in moves(steps) if moved[2] == "repos/models/org/new.git")
    repo = root / named[2]
    flushed = {path for step, path in steps[: named[0]] if step == "flush"}
    for path in [repo, *repo.rglob("*")]:
        assert str(Path(named[1]) / path.relative_to(repo)) in flushed
    assert ("flush", "repos/models/org") in steps[named[0] :]


def test_a_tag_and_a_deleted_branch_are_on_the_disk_before_the_answer(api, model, steps):
    api.create_branch(model, branch="next/one")
    api.create_tag(model, tag="v1")
    assert ("flush", "repos/models/org/model.git/refs/tags") in steps
    steps.clear()
    api.delete_branch(model, branch="next/one")
    assert ("flush", "repos/models/org/model.git/refs/heads") in steps


def test_a_deleted_tag_that_git_had_packed_does_not_come_back(api, model, steps, root):
    api.create_tag(model, tag="v1")
    repo = root / "repos/models/org/model.git"
    subprocess.run(["git", "-c", "safe.directory=*", "-C", repo, "pack-refs", "--all"], check=True)
    steps.clear()
    api.delete_tag(model, tag="v1")
    (packed,) = moves(steps)
    assert packed[2] == "repos/models/org/model.git/packed-refs"
    assert_flushed_around(steps, packed)


def test_the_object_of_a_tag_with_a_message_is_on_the_disk_before_the_tag(api, model, steps):
    api.create_tag(model, tag="v1", tag_message="The first release")
    made, tag = moves(steps)[-2:]
    assert tag[2] == "repos/models/org/model.git/refs/tags/v1"
    assert_flushed_around(steps[: tag[0]], made)


def test_the_folders_of_a_new_hub_are_on_the_disk_before_it_serves(root, monkeypatch):
    flush, held = os.fsync, {}

    def noted_flush(descriptor: int) -> None:
        flush(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            held[path] = {child.name for child in path.iterdir()}

    monkeypatch.setattr(os, "fsync", noted_flush)
    with EmbeddedHub(root / "below"):
        assert "hub" in held[root.parent]
        assert "below" in held[root]
        assert held[root / "below"] >= {"hub.json", "objects", "repos"}
        assert held[root / "below/repos"] >= {"models", "datasets", "spaces"}


def test_a_branch_that_git_is_writing_is_a_stale_parent(raw, model, root):
    lock = root / "repos/models/org/model.git/refs/heads/main.lock"
    lock.write_text("")
    lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": {"path": "a", "content": "x"}}]
    body = "\n".join(map(json.dumps, lines)).encode()
    assert raw("POST", f"/api/models/{model}/commit/main", body).status == 412
    lock.unlink()
    assert raw("POST", f"/api/models/{model}/commit/main", body).status == 200


@pytest.fixture
def fill_disk(monkeypatch):
    """Has the n-th flush from now on fail as on a full disk, and none after it."""
    flush = os.fsync

    def fill(failing: int) -> None:
        calls = count(1)

        def flush_unless_full(descriptor: int) -> None:
            if next(calls) == failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            flush(descriptor)

        monkeypatch.setattr(os, "fsync", flush_unless_full)

    return fill


@pytest.mark.parametrize("failing", range(1, 12))
def test_a_full_disk_is_told_and_leaves_nothing_in_the_way_of_a_commit(raw, model, root, fill_disk, failing):
    lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": {"path": "d/a", "content": "x"}}]
    body = "\n".join(map(json.dumps, lines)).encode()
    fill_disk(failing)
    answer = raw("POST", f"/api/models/{model}/commit/main", body)
    assert answer.status == 507
    assert answer.json["error"] == "The disk of this Hub is full."
    assert list(root.rglob("*.lock")) == []
    assert raw("POST", f"/api/models/{model}/commit/main", body).status == 200
    assert raw("GET", f"/{model}/resolve/main/d/a").body == b"x"


@pytest.mark.parametrize("failing", range(1, 12, 5))
def test_a_full_disk_leaves_no_half_of_a_repository_or_of_a_large_file(raw, hub, model, root, fill_disk, failing):
    fill_disk(failing)
    assert raw("POST", "/api/repos/create", b'{"name": "org/new"}').status == 507
    assert raw("GET", "/api/models/org/new").status == 404
    body = {"operation": "upload", "objects": [{"oid": hashlib.sha256(b"x").hexdigest(), "size": 1}]}
    batch = raw("POST", f"/{model}.git/info/lfs/objects/batch", json.dumps(body).encode())
    path = batch.json["objects"][0]["actions"]["upload"]["href"].removeprefix(hub.url)
    fill_disk(1)
    assert raw("PUT", path, b"x").status == 507
    assert list((root / "tmp").iterdir()) == []
    assert raw("PUT", path, b"x").status == 200
    assert raw("POST", "/api/repos/create", b'{"name": "org/new"}').status == 200
