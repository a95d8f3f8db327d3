"""The release record, which a run keeps, and the manifest, which is published with the release."""

from typing import Literal

from hubtune.records.base import Record
from hubtune.records.pins import Commit, PinSet
from hubtune.records.training import EnvironmentRecord

Artifact = Literal["adapter", "merged"]
"""What a repository holds: an adapter, or complete weights."""


class ReleaseRecord(Record):
    """What the publish stage did.

    Attributes:
        commit: The release's commit: of a pull request, the head of its branch.
        tag: The release's tag; a pull request has made none yet.
        files: Path in the repository to the sha256 of its content.
        branch: Where the commit went, or where the pull request is to be merged.
        pull_request: The address of the pull request; null where the release was pushed.
    """

    repo: str
    commit: Commit
    tag: str
    artifact: Artifact
    url: str
    files: dict[str, str]
    run_dir: str
    branch: str = "main"
    pull_request: str | None = None


class CounterpartRecord(ReleaseRecord):
    """The same of the release that holds the run's other kind of artifact."""


class Manifest(Record):
    """`hubtune.json` in a published repository: what the release holds and what it was made from.

    A manifest cannot name its own commit, nor hold its own digest; `files` has every other file that hubtune wrote.

    Attributes:
        format: Version of this document's shape.
        hubtune: Version of hubtune that published.
        files: Path in the repository to sha256.
        config: sha256 of the run's whole config, defaults written out, as `records/config.yaml` holds it.
        records: Name of each record to its sha256; the release holds each of them, see `hubtune.records.published`.
        environment: Where the training ran.
    """

    format: int = 1
    hubtune: str
    repo: str
    tag: str
    artifact: Artifact
    pins: PinSet
    files: dict[str, str]
    config: str
    records: dict[str, str]
    environment: EnvironmentRecord
