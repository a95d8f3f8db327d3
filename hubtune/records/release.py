"""Records of releases: what was published, planned, listed, tagged, verified and merged.

The manifest is published with the release. It contains the digest of each file and the path of each record. The file
names of a release and of a model folder are here too.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, JsonValue

from hubtune.config.load import dump_config, without_folders
from hubtune.config.schema import TuneConfig
from hubtune.records.base import Commit, LicenseRecord, PinSet, Record
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.results import EnvironmentRecord, EvaluationRecord, MergedProbeRecord, ProbeRecord, TrainingRecord

TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)
"""What transformers loads a tokenizer and its chat template from.

They are copied byte for byte, so that the published tokenizer is the one that the model was trained with.
"""
MODEL_CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


class Tolerance(Record):
    """The tolerance of a merge, for the number format of its weights.

    Attributes:
        relative_difference: Largest difference between logits, as a share of the largest logit.
        kl: Mean divergence, in nats per position.
        effect: How far from 1 the merged model's effect may be; null in records of versions that did not measure it.
    """

    relative_difference: float
    kl: float
    effect: float | None = None


class Fidelity(Record):
    """The difference between the merged model, loaded from disk, and the base model with the adapter.

    Attributes:
        reference: What the base was held in on the adapter's side.
        prompts: Number of prompts.
        positions: Number of tokens in all prompts, at each of which the logits were compared.
        max_difference: Largest absolute difference between two logits.
        mean_difference: Mean absolute difference.
        largest_logit: Largest absolute logit of base and adapter: what the differences are to be seen against.
        kl: Mean KL divergence from the adapter's distribution to the merged model's, in nats per position.
        greedy_agreement: Share of positions at which both find the same token most likely.
        base_max_difference: Largest absolute difference between the adapter's logits and those of the base alone.
        base_mean_difference: Mean of the same.
        effect: How much of what the adapter does to the base's logits the merged model does, by least squares: 1 for
            all of it, 0 for a merged model that is the base; null as in `Tolerance`.
        tolerance: What was allowed; null if the comparison is for information.
    """

    reference: Literal["full-precision base", "4-bit base"]
    prompts: int
    positions: int
    max_difference: float
    mean_difference: float
    largest_logit: float
    kl: float
    greedy_agreement: float
    base_max_difference: float
    base_mean_difference: float
    effect: float | None = None
    tolerance: Tolerance | None = None


class MergedSource(Record):
    """A repository of the Hub at the commit that was merged."""

    repo: str
    commit: Commit


class MergeRecord(Record):
    """The record of a merge.

    Attributes:
        upstream: For a run: digests of its pins and its training record; empty for a published adapter.
        base: The base model.
        adapter: The adapter's repository; null for a run's own adapter.
        adapter_files: The adapter's files: name to sha256.
        merged_into: What the adapter was merged into.
        trained_against: What the adapter was trained on, by the run's record; a published adapter does not state it.
        dtype: The number format of most weights.
        shards: How many files hold the weights.
        changed_tensors: How many tensors differ from the base's.
        tied: Whether the merged model's head is its input embedding.
        untied: Whether the base's was, and the adapter treats the two differently.
        vocabulary: The number of tokens, if the adapter changed it.
        files: The merged model's files: name to sha256.
        fidelity: Against the full-precision base with the adapter.
        fidelity_quantized: Against the 4-bit base with the adapter, if that is what it was trained on.
    """

    upstream: dict[str, str]
    base: MergedSource
    adapter: MergedSource | None
    adapter_files: dict[str, str]
    merged_into: Literal["full-precision base"] = "full-precision base"
    trained_against: Literal["full-precision base", "4-bit base", "not stated"]
    dtype: str
    shards: int
    changed_tensors: int
    tied: bool
    untied: bool
    vocabulary: int | None
    files: dict[str, str]
    fidelity: Fidelity
    fidelity_quantized: Fidelity | None = None


Artifact = Literal["adapter", "merged"]
"""What a repository holds: an adapter, or complete weights."""
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
Status = Literal["confirmed", "contradicted", "unchecked"]
_LONGEST = 1_000


class ReleaseRecord(Record):
    """The record of the publish stage.

    Attributes:
        commit: The release's commit: of a pull request, the head of its branch.
        tag: The release's tag; a pull request has made none yet.
        files: Path in the repository to the sha256 of its content.
        branch: Where the commit went, or where the pull request is to be merged.
        pull_request: The address of the pull request; null if the release was pushed.
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
    """The same for the release with the run's other kind of artifact."""


class Manifest(Record):
    """`hubtune.json` in a published repository: the files of the release and its inputs.

    A manifest cannot name its own commit, nor hold its own digest; `files` has every other file that hubtune wrote.

    Attributes:
        format: Version of this document's shape.
        hubtune: Version of hubtune that published.
        files: Path in the repository to sha256.
        config: sha256 of the run's whole config, defaults written out, as `records/config.yaml` holds it.
        records: Name of each record to its sha256; the release holds each of them, see `PLACES`.
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


class PlannedFile(Record):
    """One file of the release; `change` is against the commit's parent, `size` in bytes."""

    path: str
    size: int
    sha256: str
    change: Literal["added", "changed", "unchanged"]


class PlannedMetadata(Record):
    """One key of the card's front matter that would change; null if a side lacks it."""

    key: str
    change: Literal["added", "removed", "changed"]
    before: JsonValue
    after: JsonValue


class PlanRecord(Record):
    """What publishing a release would do.

    Attributes:
        exists: Whether the repository exists; a private one of others looks as if it did not.
        private: Whether it would be created as a private one.
        parent: The commit that the release's commit would be made on; null if there is none yet.
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


class ListedMeasure(Record):
    """A value of a release's model; `base` is the base model's, null if the source has none."""

    name: str
    split: str | None
    n: int | None
    base: float | None
    tuned: float


class ListedRelease(Record):
    """One tag.

    Attributes:
        version: Whether the tag is a version, such as v1.0.0.
        date: When the commit was made, in ISO 8601; null if that was not asked for.
        artifact: What the manifest says is published; null if there is no manifest that can be read.
        measures: The headline's measures.
        source: Where the measures are from: the release's records, or what its card states; null if there are none.
        problem: Why something could not be read, or what does not fit together; null if all is well.
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
    """The tags of a repository, the newest version first, then those that are not versions.

    Attributes:
        main: The commit that main is on; null if there is no such branch.
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
        source: The commit that was asked for. If it named another tag, `commit` is one next to it with the same
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


def places(artifact: Artifact, *, rated: bool, whole: bool = False) -> dict[type[Record], str]:
    """Returns the path in the repository of each record of a release.

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
    """Returns the config as it is published: complete, but without the paths on the publisher's disk."""
    return dump_config(without_folders(config))


def bounded_line(text: str) -> str:
    """Returns untrusted text as one line of limited length without control characters."""
    line = " ".join(text.split())
    shown = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in shown)


Line = Annotated[str, AfterValidator(bounded_line)]


class Claim(Record):
    """One claim of a release about itself.

    Attributes:
        name: What it is about, such as `files` or `data:org/quotes`.
        status: Whether it is so; `unchecked` where that could not be found out.
        detail: What was compared, what is wrong, or why it was not checked.
    """

    name: Line
    status: Status
    detail: Line


class VerificationRecord(Record):
    """Every claim of a release.

    Attributes:
        requested: The tag, branch or commit that was asked for.
        commit: The commit that it meant, at which everything was read.
        hubtune: Version of hubtune that checked.
    """

    repo: str
    requested: str
    commit: Commit
    hubtune: str
    claims: list[Claim]

    @property
    def contradicted(self) -> list[Claim]:
        """The claims that are contradicted."""
        return [claim for claim in self.claims if claim.status == "contradicted"]
