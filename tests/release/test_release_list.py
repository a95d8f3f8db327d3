"""Every tag is listed, with what can be read of it, or the reason why nothing can."""

import pytest

from hubtune.errors import RepoNotFoundError
from hubtune.release.release_list import list_releases
from tests.release.conftest import REPO


@pytest.fixture(scope="module")
def found(several):
    from tests.listener import Listener

    return list_releases(REPO, Listener(), most=30)


def test_versions_come_newest_first_and_other_tags_last(found, several):
    assert [row.tag for row in found.releases] == ["v2.0.1", "v2.0.0", "v1.1.0", "v1.0.0", "v0.1.0", "stable"]
    assert [row.version for row in found.releases] == [True, True, True, True, True, False]
    assert {row.tag: row.commit for row in found.releases} == several.tags(REPO)


def test_measures_are_those_of_the_records_and_else_of_the_card(found):
    rows = {row.tag: row for row in found.releases}

    assert [(one.name, one.base, one.tuned, one.n) for one in rows["v1.1.0"].measures] == [("perplexity", 30, 19, 8)]
    assert (rows["v1.1.0"].source, rows["v1.1.0"].artifact, rows["v1.1.0"].problem) == ("records", "adapter", None)
    assert [(one.name, one.base, one.tuned) for one in rows["v0.1.0"].measures] == [("perplexity", None, 21.5)]
    assert (rows["v0.1.0"].source, rows["v0.1.0"].artifact) == ("card", None)
    assert "hubtune did not make this release" in rows["v0.1.0"].problem
    assert rows["stable"].problem is None


def test_a_release_that_cannot_be_read_is_listed_with_the_reason(found):
    (row,) = (row for row in found.releases if row.tag == "v2.0.1")

    assert (row.measures, row.source) == ([], None)
    assert "records/evaluation.json is not a document" in row.problem


def test_dates_are_those_of_the_commits(found, several):
    dates = {line.commit_id: line.created_at for line in several.api.list_repo_commits(REPO)}

    assert {row.tag: row.date for row in found.releases if row.commit in dates} == {
        row.tag: dates[row.commit].isoformat() for row in found.releases if row.commit in dates
    }
    assert all(row.date for row in found.releases)


def test_where_main_is_is_told_with_the_commits_that_have_no_tag(found, several):
    assert (found.main, found.main_tags) == (several.head(REPO), [])
    assert (found.untagged, found.untagged_is_least) == (1, False)


def test_what_is_beyond_the_bound_is_listed_and_costs_no_request(several, listener):
    before = len(several.requests())
    list_releases(REPO, listener, most=1)
    for_one = len(several.requests()) - before

    found = list_releases(REPO, listener, most=2)

    assert len(found.releases) == 6
    assert all("--limit" in row.problem for row in found.releases[2:])
    assert len(several.requests()) - before - 2 * for_one < for_one
    assert listener.steps[f"Reading {REPO}"] == [2, 2]


def test_a_version_on_a_commit_that_names_another_is_told(released, listener):
    released.api.create_tag(REPO, tag="v1.0.5", revision=released.first)

    rows = {row.tag: row.problem for row in list_releases(REPO, listener, most=30).releases}

    assert rows == {"v1.0.5": 'the manifest names another tag, "v1.0.0"', "v1.0.0": None}


def test_a_repository_without_tags_has_an_empty_list(served, listener):
    head = served.commit(REPO, {"notes.md": b"mine"})

    found = list_releases(REPO, listener, most=30)

    assert (found.releases, found.main) == ([], head)
    # The first commit is the Hub's own.
    assert found.untagged == 2


def test_a_repository_that_is_not_there_is_an_error(served, listener):
    with pytest.raises(RepoNotFoundError):
        list_releases("org/nothing", listener, most=30)
