"""What changed since the newest version says which part of the version to raise."""

from dataclasses import replace

import pytest

from hubtune.errors import ConfigError
from hubtune.pipeline.published import PublishedRelease, read_release
from hubtune.release.differences import suggest_bump
from hubtune.release.tag import tag_release
from tests.release.conftest import REPO
from tests.sample_runs import sample_config


@pytest.fixture(scope="module")
def first(several) -> PublishedRelease:
    return read_release(REPO, "v1.0.0")


def _configured(*overrides: str):
    return lambda release: replace(release, config=sample_config(*overrides))


def _moved(kind: str):
    def change(release: PublishedRelease) -> PublishedRelease:
        base, data = release.pins.base, release.pins.data[0]
        new = {"commit": "e" * 40}
        pins = {"base": base.model_copy(update=new)} if kind == "base" else {"data": [data.model_copy(update=new)]}
        return replace(release, pins=release.pins.model_copy(update=pins))

    return change


def _artifact(release: PublishedRelease) -> PublishedRelease:
    return replace(release, manifest=release.manifest.model_copy(update={"artifact": "merged"}))


def _weights(release: PublishedRelease) -> PublishedRelease:
    return replace(release, training=release.training.model_copy(update={"files": {"adapter.safetensors": "0" * 64}}))


@pytest.mark.parametrize(
    ("change", "bump", "words"),
    [
        (_moved("base"), "major", "base model org/base moved from bbbbbbb to eeeeeee"),
        (_moved("data"), "major", "dataset org/sayings moved from ddddddd to eeeeeee"),
        (_configured('data[0].template="{quote}"'), "major", "data[0].template"),
        (_artifact, "major", "merged"),
        (_configured("train.epochs=2", "card.ethics=None."), "minor", "train.epochs: 1.0 -> 2.0"),
        (_configured("evaluate.holdout=0.5"), "minor", "evaluate.holdout"),
        (_weights, "minor", "weights differ"),
        (_configured("card.ethics=None."), "patch", "card.ethics"),
        (_configured("card.license=apache-2.0"), "patch", "card.license: mit -> apache-2.0"),
        (_configured("publish.message=Again"), "patch", "publish.message"),
        (_configured("base.revision=v2"), "patch", "base.revision"),
        (lambda release: release, "patch", "no input and no setting changed"),
    ],
    ids=[
        *("base commit", "data commit", "template", "artifact", "train", "evaluate", "weights"),
        *("card", "licence", "publish", "revision asked for", "nothing"),
    ],
)
def test_the_bump_follows_from_what_changed(first, change, bump: str, words: str):
    suggested = suggest_bump(first, change(first))

    assert suggested.bump == bump
    assert words in "; ".join(suggested.reasons)


def test_without_a_tag_the_fitting_one_is_named_with_its_command_and_nothing_is_written(released, release, listener):
    made = release("publish.tag=v1.0.1", "train.epochs=2")
    with pytest.raises(ConfigError, match=r"tagged already: v1\.0\.1"):
        tag_release(REPO, "main", None, None, listener)

    released.api.delete_tag(REPO, tag="v1.0.1")
    with pytest.raises(ConfigError, match=r"names v1\.0\.1, which is free") as caught:
        tag_release(REPO, "main", None, None, listener)
    assert caught.value.hint == f"hubtune release tag {REPO} main v1.0.1"

    released.api.create_tag(REPO, tag="v1.0.1", revision=released.first)
    with pytest.raises(ConfigError, match=r"asks for a minor version, v1\.1\.0") as caught:
        tag_release(REPO, made, None, None, listener)
    assert caught.value.hint == f"hubtune release tag {REPO} {made} --bump minor"
    assert caught.value.details == ("train.epochs: 1.0 -> 2.0",)

    assert released.tags(REPO) == {"v1.0.0": released.first, "v1.0.1": released.first}
    assert released.commits_sent() == 1


def test_a_bump_that_says_too_little_is_done_with_a_warning_that_says_why(released, release, listener):
    release("publish.tag=v3.0.0", "train.epochs=2")
    released.api.delete_tag(REPO, tag="v3.0.0")

    assert tag_release(REPO, "main", None, "patch", listener).tag == "v1.0.1"

    (warning,) = listener.warned
    assert "call for minor: train.epochs: 1.0 -> 2.0" in warning


def test_a_tag_and_a_bump_at_once_are_refused(listener):
    with pytest.raises(ConfigError, match="were both given"):
        tag_release(REPO, "main", "v1.0.0", "patch", listener)
