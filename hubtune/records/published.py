"""Where the documents of a run stand in a published repository, so that anyone can check the release against them."""

from pathlib import PurePosixPath

from hubtune.config.load import dump_config, without_folders
from hubtune.config.schema import TuneConfig
from hubtune.records.base import Record
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.licenses import LicenseRecord
from hubtune.records.merge import MergeRecord
from hubtune.records.pins import PinSet
from hubtune.records.probe import MergedProbeRecord, ProbeRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.release import Artifact
from hubtune.records.training import TrainingRecord

CARD = "README.md"
MANIFEST = "hubtune.json"
LOCK = "hubtune.lock"
RECORDS = "records"
CONFIG = f"{RECORDS}/config.yaml"
PROBE = f"{RECORDS}/probe.json"
MERGE = f"{RECORDS}/merge.json"
RATED = f"{RECORDS}/ratings.json"
PLACES: dict[type[Record], str] = {
    PinSet: LOCK,
    LicenseRecord: f"{RECORDS}/licenses.json",
    DataRecord: f"{RECORDS}/data.json",
    TrainingRecord: f"{RECORDS}/training.json",
    EvaluationRecord: f"{RECORDS}/evaluation.json",
    ProbeRecord: PROBE,
}
"""Path in the repository of each record that the release of an adapter brings along."""


def places(artifact: Artifact, *, rated: bool, whole: bool = False) -> dict[type[Record], str]:
    """Returns the path in the repository of each record that a release brings along.

    Merged weights have a probe of their own, and the record of the merge.

    Args:
        artifact: What the release holds.
        rated: Whether people rated the run.
        whole: Whether training itself made complete weights, so that nothing was merged.
    """
    found = dict(PLACES)
    if artifact == "merged" and not whole:
        del found[ProbeRecord]
        found |= {MergedProbeRecord: PROBE, MergeRecord: MERGE}
    return {**found, RatingsRecord: RATED} if rated else found


def record_name(place: str) -> str:
    """Returns the name by which a manifest knows the record at that path: its file's in a run directory."""
    return "pins.json" if place == LOCK else PurePosixPath(place).name


def published_config(config: TuneConfig) -> str:
    """Returns the config as it is published: whole, but for where on the publisher's disk its files lie."""
    return dump_config(without_folders(config))
