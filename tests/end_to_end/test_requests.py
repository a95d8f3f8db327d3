"""The request log shows that between pinning and publishing only the pinned commits are used."""

import json
import re

import pytest

from tests.end_to_end.worlds import TARGET

COMMIT = re.compile(r"^[0-9a-f]{40}$")


@pytest.fixture(params=["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def log(request, released_on):
    """The request log of a whole `run --push`."""
    return released_on(request.param).requests()


def after_pinning(log):
    """The index at which every input has been resolved.

    Pinning asks for each input once, by the revision of the config. So the first request that names an input resolves
    it, and whatever asks for a branch later falls into the window.
    """
    inputs = {line["repo"] for line in log if line["repo"] not in (None, TARGET)}
    assert len(inputs) == 2
    first = [next(index for index, line in enumerate(log) if line["repo"] == repo) for repo in inputs]
    assert {log[index]["revision"] for index in first} == {"main"}
    return max(first) + 1


def test_between_pinning_and_publishing_every_repository_request_carries_a_commit(log):
    start = after_pinning(log)
    end = next(
        index
        for index, line in enumerate(log)
        if line["method"] == "POST" and line["path"] == "/api/repos/create" and line["repo"] == TARGET
    )
    window = [line for line in log[start:end] if line["repo"] is not None]
    assert any("/resolve/" in line["path"] and line["path"].endswith("model.safetensors") for line in window)
    assert any("/resolve/" in line["path"] and line["path"].endswith("train.jsonl") for line in window)
    assert [line for line in window if not COMMIT.match(line["revision"] or "")] == []


def test_no_input_is_asked_for_by_anything_but_its_commit_from_pinning_to_the_end(log):
    window = [line for line in log[after_pinning(log) :] if line["repo"] not in (None, TARGET)]
    assert len(window) > 10
    assert [line for line in window if not COMMIT.match(line["revision"] or "")] == []


def test_the_commits_asked_for_are_the_pinned_ones(released):
    log = released.requests()
    pins = released.record("pins.json")
    asked = {
        (line["repo"], line["revision"]) for line in log[after_pinning(log) :] if line["repo"] not in (None, TARGET)
    }
    assert asked == {(pin["repo"], pin["commit"]) for pin in [pins["base"], *pins["data"]]}


def test_a_run_without_push_asks_the_hub_to_change_nothing(rehearsed):
    assert len(rehearsed.requests()) > 3
    assert rehearsed.writes() == []
    # The headers of the weights are read as a part of their file.
    assert {line["status"] for line in rehearsed.requests()} <= {200, 206, 302, 307}


def test_a_run_without_push_works_with_a_token_that_may_only_read(rehearsed):
    record = json.loads((rehearsed.root / "stdout").read_text())
    assert record["run_dir"] == str(rehearsed.work / "run2")
    assert record["evaluation"]["measures"][0]["status"] == "measured"
    assert not (rehearsed.work / "run2/release.json").exists()
