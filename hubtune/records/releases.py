"""What the commands about releases tell: the releases of a repository, and a tag that was given."""

from typing import Literal

from hubtune.records.base import Record
from hubtune.records.pins import Commit


class ListedMeasure(Record):
    """A value of a release's model; `base` is the base model's, null where the source has none."""

    name: str
    split: str | None
    n: int | None
    base: float | None
    tuned: float


class ListedRelease(Record):
    """One tag.

    Attributes:
        version: Whether the tag is a version, such as v1.0.0.
        date: When the commit was made, in ISO 8601; null where that was not asked for.
        artifact: What the manifest says is published; null where there is no manifest that can be read.
        measures: The headline's measures.
        source: Where the measures are from: the release's records, or what its card states; null where there are none.
        problem: Why something could not be read, or what does not fit together; null where all is well.
    """

    tag: str
    version: bool
    commit: Commit
    date: str | None
    artifact: str | None
    measures: list[ListedMeasure]
    source: Literal["records", "card"] | None
    problem: str | None


class ReleaseList(Record):
    """The tags of a repository, the newest version first, then those that are no versions.

    Attributes:
        main: The commit that main is on; null where there is no such branch.
        main_tags: The tags on that commit.
        untagged: How many commits of main are newer than the newest of its tags.
        untagged_is_least: Whether there may be more of them than were looked at.
    """

    repo: str
    main: Commit | None
    main_tags: list[str]
    untagged: int
    untagged_is_least: bool
    releases: list[ListedRelease]


class TagRecord(Record):
    """A tag on a commit.

    Attributes:
        commit: The commit that the tag is on.
        source: The commit that was asked for. Where it named another tag, `commit` is one beside it with the same
            weights.
        existed: Whether the tag was there before.
        checked: Whether every digest of the release's manifest was compared; false without a manifest.
    """

    repo: str
    tag: str
    commit: Commit
    source: Commit
    existed: bool
    checked: bool
    url: str
