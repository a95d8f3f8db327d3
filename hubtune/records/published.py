"""Where the documents of a run stand in a published repository, so that anyone can check the release against them."""

from pathlib import PurePosixPath

from hubtune.config.load import dump_config
from hubtune.config.schema import TuneConfig
from hubtune.records.base import Record
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.licenses import LicenseRecord
from hubtune.records.pins import PinSet
from hubtune.records.probe import ProbeRecord
from hubtune.records.training import TrainingRecord

CARD = "README.md"
MANIFEST = "hubtune.json"
LOCK = "hubtune.lock"
RECORDS = "records"
CONFIG = f"{RECORDS}/config.yaml"
PLACES: dict[type[Record], str] = {
    PinSet: LOCK,
    LicenseRecord: f"{RECORDS}/licenses.json",
    DataRecord: f"{RECORDS}/data.json",
    TrainingRecord: f"{RECORDS}/training.json",
    EvaluationRecord: f"{RECORDS}/evaluation.json",
    ProbeRecord: f"{RECORDS}/probe.json",
}
"""Path in the repository of each record that a release brings along."""


def published_config(config: TuneConfig) -> str:
    """Returns the config as it is published: whole, but for where on the publisher's disk the card's templates lie."""
    templates = config.card.templates
    if templates is not None:
        name = PurePosixPath(templates.replace("\\", "/")).name
        config = config.model_copy(update={"card": config.card.model_copy(update={"templates": name})})
    return dump_config(config)
