"""Two releases are compared by what both published."""

import pytest

from hubtune.errors import RecordError, RevisionNotFoundError
from hubtune.release.differences import diff_releases
from tests.release.conftest import HOSTILE, REPO, WEIGHTS


@pytest.fixture(scope="module")
def trained(several):
    return diff_releases(REPO, "v1.0.0", "v1.1.0")


def test_settings_are_told_by_key_with_both_values_and_without_the_tag(trained):
    assert [(one.key, one.before, one.after) for one in trained.settings] == [
        ("train.learning_rate", 0.01, 0.02),
        ("card.intended_use", "Tests.", "Tests of `code` and |."),
    ]
    assert trained.pins == []


def test_a_measure_has_both_values_their_difference_and_whether_it_is_noise(trained):
    (measure,) = trained.measures

    assert (measure.before, measure.after, measure.difference) == (20.0, 19.0, -1.0)
    assert (measure.before_interval, measure.after_interval) == ((-12.0, -8.0), (-13.0, -9.0))
    assert measure.interval == pytest.approx((-1 - 8**0.5, -1 + 8**0.5))
    assert measure.verdict == "not significant"


def test_files_are_told_with_both_digests(trained, several):
    assert {one.path: one.change for one in trained.files} == {
        "README.md": "changed",
        WEIGHTS: "changed",
        "records/config.yaml": "changed",
        "records/data.json": "changed",
        "records/evaluation.json": "changed",
        "records/probe.json": "changed",
        "records/training.json": "changed",
    }
    (weights,) = (one for one in trained.files if one.path == WEIGHTS)
    found = {
        tag: several.api.get_paths_info(REPO, [WEIGHTS], revision=tag)[0].lfs.sha256 for tag in ("v1.0.0", "v1.1.0")
    }
    assert (weights.before, weights.after) == (found["v1.0.0"], found["v1.1.0"])


def test_versions_that_differ_are_told_by_stage(trained):
    assert [(one.stage, one.name, one.before, one.after) for one in trained.environment] == [
        ("training", HOSTILE, None, HOSTILE)
    ]


def test_the_cards_are_compared_too(trained):
    assert trained.card_problem is None
    assert "Intended use and misuse" in [section.title for section in trained.card.sections]


def test_other_data_is_told_by_its_commits_and_measures_are_not_compared(several):
    changes = diff_releases(REPO, "v1.1.0", "v2.0.0")

    assert [(one.kind, one.repo, one.before.commit[:1], one.after.commit[:1]) for one in changes.pins] == [
        ("data", "org/sayings", "d", "e")
    ]
    assert [(one.verdict, one.difference) for one in changes.measures] == [("not comparable", None)]
    assert changes.order == "forward"


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [("v1.0.0", "v1.0.0", "same"), ("stable", "v1.1.0", "same"), ("v1.1.0", "v1.0.0", "backward")],
)
def test_the_order_of_the_versions_is_told(several, a: str, b: str, order: str):
    changes = diff_releases(REPO, a, b)

    assert changes.order == order
    if order == "same":
        assert (changes.settings, changes.files, changes.environment) == ([], [], [])
        assert [one.verdict for one in changes.measures] == ["equal"]


@pytest.mark.parametrize(
    ("tag", "error", "words"),
    [
        ("v0.1.0", RecordError, "not a release that hubtune can read"),
        ("v2.0.1", RecordError, "records/evaluation.json"),
        ("v9.0.0", RevisionNotFoundError, "no revision"),
    ],
)
def test_a_side_that_cannot_be_read_is_an_error(several, tag: str, error: type, words: str):
    with pytest.raises(error, match=words):
        diff_releases(REPO, "v1.0.0", tag)
