"""Everything that a card is rendered from; a card cannot contain anything else."""

from dataclasses import dataclass

from hubtune.card.licensing.decision import LicenseDecision
from hubtune.config.schema import PublishConfig, TuneConfig
from hubtune.records.base import PinSet
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.release import Artifact, MergeRecord
from hubtune.records.results import EvaluationRecord, TrainingRecord

# The Hub's pages show as many digits of a commit; the card's Provenance has them all.
SHORT_COMMIT = 7


@dataclass(frozen=True)
class ReleaseTarget:
    """Where the release is published.

    Attributes:
        repo: The repository, such as org/quotes-lora.
        tag: The version tag, such as v1.0.0.
        artifact: Whether the adapter alone, or the base model's weights with the adapter merged into them.
        counterpart: The repository that holds the other kind of artifact of the same run; None if there is none.
    """

    repo: str
    tag: str
    artifact: Artifact = "adapter"
    counterpart: str | None = None

    @classmethod
    def of(cls, publish: PublishConfig) -> "ReleaseTarget | None":
        """Returns the target that a config names; None if it names no repository."""
        if publish.repo is None:
            return None
        return cls(publish.repo, publish.tag, publish.artifact, publish.counterpart)


@dataclass(frozen=True)
class CardInputs:
    """The run's records, and what is known of the release.

    Attributes:
        licenses: What the inputs' licenses allow.
        target: Where the release goes; None while nothing says where.
        merge: How the adapter was merged into the base's weights; None if it was not.
        version: Version of hubtune that renders the card.
        ratings: What people preferred; None if nobody rated.
    """

    config: TuneConfig
    pins: PinSet
    data: DataRecord
    training: TrainingRecord
    evaluation: EvaluationRecord
    licenses: LicenseDecision
    target: ReleaseTarget | None
    version: str
    merge: MergeRecord | None = None
    ratings: RatingsRecord | None = None
