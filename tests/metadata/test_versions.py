"""Tags are ordered as versions, and the next one follows from the newest."""

import pytest

from hubtune.metadata.versions import newest_first, newest_version, next_tag


def test_the_newest_version_comes_first_and_other_tags_last():
    tags = ["latest", "v1.9.0", "v1.10.0", "v2.0.0-rc1", "1.0", "v0.1.0"]

    assert newest_first(tags) == ["v2.0.0-rc1", "v1.10.0", "v1.9.0", "v0.1.0", "1.0", "latest"]


@pytest.mark.parametrize(
    ("tags", "newest"),
    [
        (["v1.9.0", "v1.10.0", "v2.0.0-rc1"], "v1.10.0"),
        (["v1.0.0-rc1", "v1.0.0-rc2", "stable"], "v1.0.0-rc2"),
        (["stable"], None),
    ],
)
def test_what_leads_up_to_a_version_counts_where_there_is_no_other(tags: list[str], newest: str | None):
    assert newest_version(tags) == newest


@pytest.mark.parametrize(
    ("newest", "patch", "minor", "major"),
    [
        ("v1.2.3", "v1.2.4", "v1.3.0", "v2.0.0"),
        ("v2.0.0-rc1", "v2.0.0", "v2.0.0", "v2.0.0"),
        ("v1.0.0.post1", "v1.0.1", "v1.1.0", "v2.0.0"),
        (None, "v1.0.0", "v1.0.0", "v1.0.0"),
    ],
)
def test_the_next_tag_raises_one_part(newest: str | None, patch: str, minor: str, major: str):
    assert [next_tag(newest, bump) for bump in ("patch", "minor", "major")] == [patch, minor, major]
