"""What a release would do, as `hubtune publish --dry-run` prints it."""

from typing import Literal

from pydantic import JsonValue

from hubtune.records.base import Record
from hubtune.records.pins import Commit


class PlannedFile(Record):
    """One file of the release; `change` is against the commit's parent, `size` in bytes."""

    path: str
    size: int
    sha256: str
    change: Literal["added", "changed", "unchanged"]


class PlannedMetadata(Record):
    """One key of the card's front matter that would change; null where a side lacks it."""

    key: str
    change: Literal["added", "removed", "changed"]
    before: JsonValue
    after: JsonValue


class PlanRecord(Record):
    """What a release would do.

    Attributes:
        exists: Whether the repository exists; a private one of others looks as if it did not.
        private: Whether it would be created as a private one.
        parent: The commit that the release's commit would be made on; null where there is none yet.
        pull_request: Whether it would be a pull request, which makes no tag.
        published: The commit on which just this release was found with its tag; then nothing would be done.
        delete: Files of the release before that this one lacks.
    """

    repo: str
    exists: bool
    private: bool
    branch: str
    parent: Commit | None
    tag: str
    artifact: str
    message: str
    pull_request: bool
    published: Commit | None
    files: list[PlannedFile]
    delete: list[str]
    metadata: list[PlannedMetadata]
    run_dir: str
