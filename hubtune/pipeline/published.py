"""Reads what a release says of itself: its manifest, its config and its records, all at one commit of the Hub."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from hubtune.config.published import read_published
from hubtune.config.schema import TuneConfig
from hubtune.errors import RecordError, ReleaseError
from hubtune.hub.contents import read_files
from hubtune.hub.read import resolve
from hubtune.records.base import Record
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.licenses import LicenseRecord
from hubtune.records.merge import MergeRecord
from hubtune.records.pins import PinSet
from hubtune.records.probe import ProbeRecord
from hubtune.records.published import CARD, CONFIG, MANIFEST, MERGE, PLACES, RATED
from hubtune.records.ratings import RatingsRecord
from hubtune.records.release import Manifest
from hubtune.records.training import TrainingRecord

R = TypeVar("R", bound=Record)

MOST_BYTES = 4 << 20
"""No more of a document is read. Those of releases with thousands of logged losses have a tenth of that."""


@dataclass(frozen=True)
class PublishedRelease:
    """One release, as it describes itself.

    Attributes:
        commit: The commit that everything was read at.
        card: The text of README.md.
        merge: For merged weights, how they were merged.
        ratings: What people preferred; None where nobody rated.
        content: Path to content of every document that was read, to the byte.
    """

    repo: str
    commit: str
    manifest: Manifest
    config: TuneConfig
    card: str
    pins: PinSet
    licenses: LicenseRecord
    data: DataRecord
    training: TrainingRecord
    evaluation: EvaluationRecord
    probe: ProbeRecord
    merge: MergeRecord | None
    ratings: RatingsRecord | None
    content: dict[str, bytes]


def read_release(repo: str, revision: str) -> PublishedRelease:
    """Reads the documents of a release; nothing is checked but that each is such a document.

    Args:
        repo: A model repository.
        revision: A tag, a branch or a commit; it is asked for once.

    Raises:
        HubError: The repository or the revision cannot be read.
        RecordError: There is no release of hubtune there, or one of its documents cannot be read.
        ReleaseError: Its pins are of other repositories than its config names.
        ConfigError: Its config cannot be read.
        ReleaseError: Its config names places on a disk.
    """
    found = resolve(repo, "model", revision)
    wanted = [MANIFEST, CARD, CONFIG, *PLACES.values()]
    missing = [path for path in wanted if path not in found.files]
    if missing:
        raise RecordError(
            f"{repo} at {revision} is not a release that hubtune can read: it has no {', '.join(missing)}.",
            hint=f"See which releases there are: hubtune release list {repo}",
        )
    long = [path for path in wanted if found.files[path] > MOST_BYTES]
    if long:
        raise RecordError(
            f"{long[0]} of {repo} at {revision} is longer than the {MOST_BYTES:,} bytes that are read of a document.",
            hint="It was changed by hand, or is not a release of hubtune.",
        )
    content = read_files(repo, "model", found.commit, [*wanted, *({MERGE, RATED} & found.files.keys())])
    release = PublishedRelease(
        repo=repo,
        commit=found.commit,
        manifest=parse_document(Manifest, content[MANIFEST], MANIFEST),
        config=read_published(content[CONFIG].decode(errors="replace"), f"{CONFIG} of {repo}"),
        card=content[CARD].decode(errors="replace"),
        pins=_record(PinSet, content),
        licenses=_record(LicenseRecord, content),
        data=_record(DataRecord, content),
        training=_record(TrainingRecord, content),
        evaluation=_record(EvaluationRecord, content),
        probe=_record(ProbeRecord, content),
        merge=parse_document(MergeRecord, content[MERGE], MERGE) if MERGE in content else None,
        ratings=parse_document(RatingsRecord, content[RATED], RATED) if RATED in content else None,
        content=content,
    )
    _require_own_pins(release)
    return release


def _require_own_pins(release: PublishedRelease) -> None:
    """Refuses a lock that leads to other repositories than the config names: they would be read in their place."""
    config, pins = release.config, release.pins
    earlier = config.earlier.data if config.earlier else []
    entries = [*config.data, *earlier]
    stated = [config.base.repo, *(entry.repo for entry in entries if entry.repo is not None)]
    pinned = [pin.repo for pin in (pins.base, *pins.data, *pins.earlier)]
    # Where a file of the publisher's disk is named, that is what is told of it.
    local = any(entry.path is not None for entry in entries)
    if not local and [repo.lower() for repo in stated] != [repo.lower() for repo in pinned]:
        raise ReleaseError(
            f"hubtune.lock of {release.repo} pins {', '.join(pinned)}, and its records/config.yaml names "
            f"{', '.join(stated)}.",
            hint=f"Do not rely on this release; see what else contradicts it: hubtune verify {release.repo}@TAG",
        )


def parse_document(kind: type[R], content: bytes, name: str) -> R:
    """Reads one document of a release.

    Raises:
        RecordError: It is not such a document.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        places = (".".join(map(str, fault["loc"])) for fault in error.errors(include_url=False, include_input=False))
        raise RecordError(
            f"{name} is not a document that this version of hubtune can read.",
            details=[place or "not JSON" for place in places],
            hint="It was changed by hand, or written by another version of hubtune.",
        ) from error


def _record(kind: type[R], content: dict[str, bytes]) -> R:
    return parse_document(kind, content[PLACES[kind]], PLACES[kind])
