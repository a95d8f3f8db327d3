"""Publishing twice changes nothing, and a tag is never moved."""

from pathlib import Path

import pytest

from hubtune.errors import ConfigError, PermissionDeniedError, RecordError, TagExistsError
from tests.end_to_end.worlds import TARGET


def refs(api):
    """Every branch and tag of the target, and its commits."""
    found = api.list_repo_refs(TARGET)
    return (
        {ref.ref: ref.target_commit for ref in [*found.branches, *found.tags]},
        [commit.commit_id for commit in api.list_repo_commits(TARGET)],
    )


def test_publishing_a_second_time_succeeds_and_changes_nothing(finished):
    before, record = finished.stored(), finished.record("release.json")
    with finished.served() as api:
        earlier = refs(api)
        again = finished.done("--json", "publish", "run", HF_ENDPOINT=api.endpoint, HF_TOKEN="any")
        assert refs(api) == earlier
    # The world is a copy, served at another port, so these two differ.
    moved = {"run_dir": str(finished.run_dir), "url": f"{api.endpoint}/{TARGET}/tree/v1.0.0"}
    assert again.document == {**record, **moved}
    assert finished.stored() == before


def test_publishing_again_without_any_access_to_torch_works(finished, tmp_path):
    # A module of that name that cannot be imported stands before the real one.
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    finished.done("publish", "run", "--hub", finished.hub, PYTHONPATH=str(tmp_path))
    finished.done("card", "render", "run", PYTHONPATH=str(tmp_path))


def test_a_tag_that_is_taken_is_refused_before_training(finished):
    before = finished.stored()
    commit = finished.record("release.json")["commit"]
    shown = finished.hubtune("run", "--push", "--hub", finished.hub, "--run-dir", "run2")
    shown.refused(TagExistsError, TARGET, "v1.0.0", commit, "--tag")
    assert not (finished.work / "run2").exists()
    assert finished.stored() == before
    assert finished.writes() == []


def test_another_run_cannot_take_the_tag_of_a_release(rehearsed, tmp_path):
    world = rehearsed.copy(tmp_path / "world")
    world.forget_requests()
    before = world.stored()
    with world.served() as api:
        earlier = refs(api)
        shown = world.hubtune("publish", "run2", HF_ENDPOINT=api.endpoint, HF_TOKEN="any")
        shown.refused(TagExistsError, TARGET, "v1.0.0", world.record("release.json")["commit"], "--tag")
        assert refs(api) == earlier
    assert world.stored() == before
    assert [line for line in world.writes() if line["status"] < 400] == []
    assert not (world.work / "run2/release.json").exists()


def test_another_run_can_be_published_under_the_next_tag_as_one_more_commit(rehearsed, tmp_path):
    world = rehearsed.copy(tmp_path / "world")
    with world.served() as api:
        earlier, commits = refs(api)
        release = world.done(
            "--json", "publish", "run2", "--tag", "v1.1.0", HF_ENDPOINT=api.endpoint, HF_TOKEN="any"
        ).document
        later, more_commits = refs(api)
        assert later == {**earlier, "refs/heads/main": release["commit"], "refs/tags/v1.1.0": release["commit"]}
        assert more_commits == [release["commit"], *commits]
        card = api.hf_hub_download(TARGET, "README.md", revision="v1.1.0", cache_dir=tmp_path / "cache")
        assert 'tag = "v1.1.0"' in Path(card).read_text()


def test_a_run_can_be_published_to_a_repository_given_on_the_command_line(rehearsed, tmp_path):
    world = rehearsed.copy(tmp_path / "world")
    release = world.done(
        "--json", "publish", "run2", "--push", "ann/other", "--tag", "v0.1.0", "--hub", world.hub
    ).document
    with world.served() as api:
        assert api.model_info("ann/other", revision="v0.1.0").sha == release["commit"]
    assert (release["repo"], release["tag"]) == ("ann/other", "v0.1.0")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--tag", "latest"], ConfigError, ["publish.tag", "'latest'", "v1.0.0"]),
        (["--push", "no namespace"], ConfigError, ["publish.repo", "'no namespace'", "namespace/name"]),
    ],
)
def test_publishing_checks_its_target_first(finished, arguments, error, words):
    before = finished.stored()
    finished.hubtune("publish", "run", *arguments, "--hub", finished.hub).refused(error, *words)
    assert finished.stored() == before
    assert finished.requests() == []


def test_publishing_what_is_no_run_says_so(world):
    shown = world.hubtune("publish", "nowhere", "--hub", world.hub)
    shown.refused(RecordError, "nowhere", "is not a run directory")


def test_a_run_of_one_who_may_not_push_ends_with_a_pull_request(finished, auth):
    run = ("--json", "run", "--resume", "--run-dir", "run", "--push", "--tag", "v2.0.0")
    with finished.served(auth) as api:
        as_pat = {"HF_ENDPOINT": api.endpoint, "HF_TOKEN": "hf_patpatpat"}
        finished.hubtune("publish", "run", "--tag", "v2.0.0", **as_pat).refused(PermissionDeniedError, "--create-pr")
        release = finished.done(*run, "--create-pr", **as_pat).document
        assert release["pull_request"] == f"{api.endpoint}/{TARGET}/discussions/1"
        assert api.model_info(TARGET, revision="refs/pr/1").sha == release["commit"]
        assert "v2.0.0" not in {ref.name for ref in api.list_repo_refs(TARGET).tags}
    assert finished.record("release.json") == release
