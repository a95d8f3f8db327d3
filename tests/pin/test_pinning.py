"""Each input is pinned to a commit once, the lock is honoured, and only what it lacks is pinned anew."""

import pytest

from hubtune.config.load import parse_config
from hubtune.errors import NoSafetensorsError, RecordError, RepoNotFoundError, RevisionNotFoundError
from hubtune.hub.snapshot import cached
from hubtune.pin import fetch_snapshots, resolve_pins
from hubtune.records.base import PinSet

BASE = {"model.safetensors": b"weights", "config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"}
DATA = {"train.csv": b"a\n1\n", "README.md": b"---\nlicense: [cc0-1.0, mit]\n---\n"}
HEX = set("0123456789abcdef")


@pytest.fixture
def commits(served) -> dict[str, str]:
    return {
        "org/base": served.commit("org/base", BASE),
        "org/one": served.commit("org/one", DATA, "dataset"),
        "org/two": served.commit("org/two", DATA, "dataset"),
    }


def _config(base: str = "main", one: str = "main", *more: str):
    data = [("org/one", one), *((repo, "main") for repo in more)]
    entries = ", ".join(f"{{repo: {repo}, revision: {revision}, text: a}}" for repo, revision in data)
    return parse_config(f"base: {{repo: org/base, revision: {base}}}\ndata: [{entries}]\n")


def _commits(pins: PinSet) -> dict[str, str]:
    return {pin.repo: pin.commit for pin in pins.all()}


def test_every_input_is_pinned_to_its_commit_with_what_was_asked_and_stated(commits, listener):
    pins = resolve_pins(_config(), None, listener).pins

    assert _commits(pins) == {"org/base": commits["org/base"], "org/one": commits["org/one"]}
    assert (pins.base.type, pins.base.requested, pins.base.license, pins.base.gated) == ("model", "main", "mit", False)
    assert (pins.data[0].type, pins.data[0].license) == ("dataset", ["cc0-1.0", "mit"])


def test_branch_tag_and_commit_are_understood(served, commits, listener):
    served.api.create_tag("org/base", tag="v1")
    served.api.create_branch("org/one", branch="side", repo_type="dataset")
    served.commit("org/base", {"config.json": b'{"moved": true}'})
    served.commit("org/one", {"train.csv": b"a\n2\n"}, "dataset")

    by_name = resolve_pins(_config("v1", "side"), None, listener).pins
    by_commit = resolve_pins(_config(commits["org/base"], commits["org/one"]), None, listener).pins

    assert _commits(by_name) == _commits(by_commit) == {name: commits[name] for name in ("org/base", "org/one")}
    assert (by_name.base.requested, by_name.data[0].requested) == ("v1", "side")


def test_a_pull_request_is_pinned_to_the_commit_that_it_is_at(served, commits, listener):
    head = commits["org/one"]
    proposed = served.commit("org/one", {"train.csv": b"a\n2\n"}, "dataset", create_pr=True)

    pins = resolve_pins(_config(one="refs/pr/1"), None, listener).pins

    assert (pins.data[0].requested, pins.data[0].commit) == ("refs/pr/1", proposed)
    assert proposed != head == served.head("org/one", "dataset")


def test_the_lock_holds_when_main_has_moved_on(served, commits, listener):
    lock = resolve_pins(_config(), None, listener).pins
    served.commit("org/base", {"config.json": b'{"moved": true}', "README.md": b"---\nlicense: other\n---\n"})
    served.commit("org/one", {"train.csv": b"a\n2\n"}, "dataset")

    assert resolve_pins(_config(), lock, listener).pins == lock
    assert listener.said == []


def test_without_lock_the_new_head_is_pinned(served, commits, listener):
    moved = served.commit("org/base", {"config.json": b'{"moved": true}'})

    assert resolve_pins(_config(), None, listener).pins.base.commit == moved


def test_only_the_changed_entries_are_pinned_anew_and_said(served, commits, listener):
    lock = resolve_pins(_config(), None, listener).pins
    served.commit("org/base", {"config.json": b'{"moved": true}'})
    moved = served.commit("org/two", {"train.csv": b"a\n2\n"}, "dataset")

    pins = resolve_pins(_config("main", "main", "org/two"), lock, listener).pins

    assert pins.base == lock.base
    assert pins.data[0] == lock.data[0]
    assert pins.data[1].commit == moved
    assert listener.said == [f"org/two at main is not in hubtune.lock: pinned to {moved}"]


def test_another_revision_of_a_locked_repository_is_pinned_anew(served, commits, listener):
    lock = resolve_pins(_config(), None, listener).pins
    moved = served.commit("org/one", {"train.csv": b"a\n2\n"}, "dataset")
    served.api.create_branch("org/one", branch="side", revision=moved, repo_type="dataset")

    pins = resolve_pins(_config("main", "side"), lock, listener).pins

    assert (pins.data[0].requested, pins.data[0].commit) == ("side", moved)


def test_every_request_about_a_locked_input_names_its_commit(served, commits, listener):
    lock = resolve_pins(_config(), None, listener).pins
    before = len(served.requests())

    fetch_snapshots(resolve_pins(_config(), lock, listener), listener)

    asked = [line for line in served.requests()[before:] if line["repo"]]
    assert asked
    assert {line["revision"] for line in asked} == {commits["org/base"], commits["org/one"]}


def test_after_resolving_every_request_names_a_full_commit(served, commits, listener):
    resolution = resolve_pins(_config(), None, listener)
    before = len(served.requests())

    fetch_snapshots(resolution, listener)

    revisions = {str(line["revision"]) for line in served.requests()[before:] if line["repo"]}
    assert revisions
    assert all(len(revision) == 40 and set(revision) <= HEX for revision in revisions)


def test_fetching_brings_every_input_and_reports_the_bytes_promised(commits, listener):
    resolution = resolve_pins(_config(), None, listener)

    fetch_snapshots(resolution, listener)

    assert (cached(resolution.pins.base) / "model.safetensors").read_bytes() == b"weights"
    assert (cached(resolution.pins.data[0]) / "train.csv").read_bytes() == b"a\n1\n"
    ((done, total),) = listener.steps.values()
    assert done == total == resolution.size > 0


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.gguf", "flax_model.msgpack"])
def test_a_base_without_safetensors_is_refused_before_any_weight_is_fetched(served, listener, name: str):
    served.commit("org/base", {name: b"pickle", "config.json": b"{}"})
    served.commit("org/one", DATA, "dataset")
    before = len(served.requests())

    with pytest.raises(NoSafetensorsError, match=rf"org/base at [0-9a-f]{{40}} .*\(it has {name}\)"):
        resolve_pins(_config(), None, listener)

    assert not [line for line in served.requests()[before:] if "/resolve/" in str(line["path"])]


def test_a_locked_commit_without_safetensors_is_refused_too(served, commits, listener):
    lock = resolve_pins(_config(), None, listener).pins
    without = served.commit("org/old", {"pytorch_model.bin": b"pickle"})
    served.commit("org/base", {"config.json": b"{}"})
    lock = lock.model_copy(update={"base": lock.base.model_copy(update={"repo": "org/old", "commit": without})})

    with pytest.raises(NoSafetensorsError, match="org/old"):
        resolve_pins(parse_config("base: {repo: org/old}\ndata: [{repo: org/one, text: a}]\n"), lock, listener)


def test_an_input_that_does_not_exist_is_named(commits, listener):
    with pytest.raises(RepoNotFoundError, match="org/none"):
        resolve_pins(_config("main", "main", "org/none"), None, listener)
    with pytest.raises(RevisionNotFoundError, match="org/one has no revision 'v9'"):
        resolve_pins(_config("main", "v9"), None, listener)


def test_a_locked_commit_that_the_hub_lost_is_named(commits, listener):
    lock = resolve_pins(_config(), None, listener).pins
    lost = lock.model_copy(update={"base": lock.base.model_copy(update={"commit": "0" * 40})})

    with pytest.raises(RevisionNotFoundError, match="0" * 40):
        resolve_pins(_config(), lost, listener)


def test_of_a_streamed_data_set_the_card_alone_is_fetched_and_the_size_says_so(served, commits, listener):
    whole = resolve_pins(_config(), None, listener)
    config = _config()
    config = config.model_copy(update={"data": [config.data[0].model_copy(update={"streaming": True})]})

    resolution = resolve_pins(config, None, listener)
    fetch_snapshots(resolution, listener)

    (pin,) = resolution.pins.data
    assert resolution.size < whole.size
    assert not list(cached(pin, streamed=True).glob("*.csv"))
    with pytest.raises(RecordError):
        cached(pin)
