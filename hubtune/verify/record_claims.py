"""Claims about the release as a whole: its files, its records, the repository that it names, and its origin.

The records must belong to one run, each made from the others, and to the same run as config, manifest and files.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol, cast

from hubtune import __version__
from hubtune.config.fields import is_commit
from hubtune.config.load import evaluation_digest, training_digest
from hubtune.config.schema import TuneConfig
from hubtune.evaluate.human_preference import win_rate
from hubtune.hub.read import list_refs
from hubtune.records import release
from hubtune.records.base import LicenseRecord, PinSet, Record
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.results import EvaluationRecord, MergedProbeRecord, ProbeRecord, TrainingRecord
from hubtune.verify.release_documents import ContradictedError, Documents, Subject, UncheckedError, listed, refuse

# What each stage makes its record from; a record that names less could be of any run.
_UPSTREAM: dict[type[Record], frozenset[str]] = {
    LicenseRecord: frozenset({"pins.json"}),
    DataRecord: frozenset({"config", "pins.json"}),
    TrainingRecord: frozenset({"config", "pins.json", "data.json"}),
    EvaluationRecord: frozenset({"config", "evaluate", "data.json", "training.json"}),
    ProbeRecord: frozenset({"training.json"}),
    release.MergeRecord: frozenset({"pins.json", "training.json"}),
    MergedProbeRecord: frozenset({"merge.json"}),
    RatingsRecord: frozenset({"data.json", "training.json"}),
}
_SECTIONS = ("config", "evaluate")
_OF_THE_HUB = ".gitattributes"
UNSIGNED = (
    "the release is not signed, and whoever can write to the repository can rewrite all of it: give the commit that "
    "the publisher announced with --commit"
)


def check_repository(subject: Subject) -> str:
    """Compares the repository and the tag in the manifest with the requested ones."""
    manifest = subject.documents.manifest
    if manifest.repo != subject.repo:
        raise ContradictedError(f"the manifest is that of {manifest.repo}, not of {subject.repo}")
    refs = list_refs(subject.repo)
    tagged = refs.tags.get(manifest.tag)
    if not is_commit(subject.requested) and manifest.tag != subject.requested:
        moved = refs.tags.get(subject.requested)
        if moved is not None:
            raise ContradictedError(
                f"the manifest is that of {manifest.tag}, and {subject.requested} points at its commit: the tag "
                f"{subject.requested} was moved, or made by hand"
            )
    if tagged is None:
        raise ContradictedError(f"the manifest is that of {manifest.tag}, and there is no such tag")
    if tagged != subject.commit:
        raise ContradictedError(f"the manifest is that of {manifest.tag}, and that tag points at {tagged}")
    if manifest.tag in refs.branches:
        raise ContradictedError(
            f"a branch is called {manifest.tag} too, on {refs.branches[manifest.tag]}: readers who ask for "
            f"{manifest.tag} get it, or may get it later, in place of {subject.commit}"
        )
    return f"{manifest.tag} of {manifest.repo}, at {subject.commit}"


def check_files(subject: Subject) -> str:
    """Compares the downloaded bytes of every file with the manifest."""
    manifest = subject.documents.manifest
    known = manifest.files
    faults = [
        f"{path} was added" for path in sorted(subject.sizes.keys() - known.keys() - {release.MANIFEST, _OF_THE_HUB})
    ]
    faults += [f"{path} is missing" for path in sorted(known.keys() - subject.sizes.keys())]
    faults += [
        f"{path} was changed (sha256 {digest})"
        for path, digest in sorted(subject.digests.items())
        if path in known and known[path] != digest
    ]
    if faults:
        raise ContradictedError(listed(faults))
    lost = [reason for path, reason in sorted(subject.lost.items()) if path in known]
    if lost:
        raise UncheckedError(listed(lost))
    size = sum(subject.sizes[path] for path in known)
    own = f"; {_OF_THE_HUB} is the Hub's own" if _OF_THE_HUB in subject.sizes and _OF_THE_HUB not in known else ""
    return f"all {len(known)} that the manifest lists are there, with the same bytes ({size:,}), and no other{own}"


def check_records(subject: Subject) -> str:
    """Compares each record with the manifest and with the records that it was made from."""
    documents = subject.documents
    manifest = documents.manifest
    broken = [fault for path, fault in sorted(documents.faults.items()) if path != release.CARD]
    faults = [fault.message for fault in broken if isinstance(fault, ContradictedError)]
    faults += _against_manifest(subject, manifest)
    config = documents.config
    # A section's digest changes with the keys that a version knows, so that of another version may differ.
    comparable = manifest.hubtune == __version__
    if config is not None:
        known = _digests(subject, config)
        comparable = comparable or not any(_upstream(documents, known, leave_out=()))
        faults += _upstream(documents, known, leave_out=() if comparable else _SECTIONS)
    if not broken:
        faults += [*_of_one_run(documents, manifest), *_weights(subject, manifest)]
    refuse(faults)
    if broken:
        raise UncheckedError(listed([fault.message for fault in broken]))
    if not comparable:
        raise UncheckedError(
            f"they agree with the manifest, and were written by hubtune {manifest.hubtune}: whether the config is "
            f"theirs, that version can tell and {__version__} cannot"
        )
    return f"{len(documents.places)} records and the config are those of the manifest, and were made from one another"


def _against_manifest(subject: Subject, manifest: release.Manifest) -> Iterator[str]:
    names = {release.record_name(place): place for place in subject.documents.places.values()}
    for name, place in names.items():
        digest = manifest.records.get(name)
        if digest is None:
            yield f"the manifest does not list {name}"
        elif place in subject.digests and subject.digests[place] != digest:
            yield f"{place} is not the {name} that the manifest lists"
    for name in sorted(manifest.records.keys() - names.keys()):
        yield f"the manifest lists a record that no release has: {name}"
    if release.CONFIG in subject.digests and subject.digests[release.CONFIG] != manifest.config:
        yield f"{release.CONFIG} is not the config that the manifest lists"


def _digests(subject: Subject, config: TuneConfig) -> dict[str, str]:
    records = {
        release.record_name(place): subject.digests.get(place, "") for place in subject.documents.places.values()
    }
    return {**records, "config": training_digest(config), "evaluate": evaluation_digest(config)}


class _MadeFromOthers(Protocol):
    """A record that says what it was made from, by digest."""

    @property
    def upstream(self) -> Mapping[str, str]: ...


def _upstream(documents: Documents, known: Mapping[str, str], leave_out: tuple[str, ...]) -> Iterator[str]:
    for kind, place in documents.places.items():
        record, needed = documents.records.get(kind), _UPSTREAM.get(kind, frozenset())
        if record is None or not needed:
            continue
        # Every kind of the table has it.
        stated = cast("_MadeFromOthers", record).upstream
        for name in sorted(needed - stated.keys()):
            yield f"{place} does not say from which {name} it was made"
        for name, digest in sorted(stated.items()):
            if name not in leave_out and known.get(name) != digest:
                yield f"{place} was made from another {name}"


def _of_one_run(documents: Documents, manifest: release.Manifest) -> Iterator[str]:
    """Compares what several documents say; all of them can be read."""
    config, pins = documents.need_config(), documents.need(PinSet)
    data, training = documents.need(DataRecord), documents.need(TrainingRecord)
    if pins != manifest.pins:
        yield f"{release.PLACES[PinSet]} has other pins than the manifest"
    target = (config.publish.repo, config.publish.tag, config.publish.artifact)
    if target != (manifest.repo, manifest.tag, manifest.artifact):
        yield "the config names another repository, tag or artifact than the manifest"
    if training.environment != manifest.environment:
        yield "the training was done in another environment than the manifest says"
    if config.base.repo != pins.base.repo or [entry.repo for entry in config.data] != [pin.repo for pin in pins.data]:
        yield "the config names other inputs than the pins"
    named = None if config.base.adapter is None else config.base.adapter.repo
    if named != (None if pins.adapter is None else pins.adapter.repo):
        yield "the config names another adapter to train further than the pins"
    if [(source.repo, source.commit) for source in data.sources] != [(pin.repo, pin.commit) for pin in pins.data]:
        yield f"{release.PLACES[DataRecord]} tells of other datasets than the pins"
    earlier = [] if data.earlier is None else data.earlier.sources
    stated = [(source.repo, source.commit) for source in earlier if source.repo is not None]
    if [entry.repo for entry in config.pinned_earlier] != [pin.repo for pin in pins.earlier]:
        yield "the config names other earlier data than the pins"
    if stated != [(pin.repo, pin.commit) for pin in pins.earlier]:
        yield f"{release.PLACES[DataRecord]} tells of other earlier data than the pins"
    if (training.earlier is None) != (data.earlier is None):
        yield "only one of the data and the training tells of an earlier task"
    if documents.need(EvaluationRecord).precision != training.precision:
        yield "the evaluation was of another precision than the training"
    if training.method != config.train.method:
        yield "the training was by another method than the config names"
    ratings = documents.find(RatingsRecord)
    if ratings and ratings.measure != win_rate(ratings.counts, ratings.measure.seed):
        yield f"{release.RATED} has another win rate than its counts give"
    merged = documents.need(release.MergeRecord) if manifest.artifact == "merged" and not training.whole else None
    if documents.need(ProbeRecord).precision != (merged.dtype if merged else training.precision):
        yield "the probe was of another precision than the model"
    if merged and (merged.base.repo, merged.base.commit, merged.adapter) != (pins.base.repo, pins.base.commit, None):
        yield f"{release.MERGE} tells of another base model or adapter than those of this run"
    trained = (
        {name: digest for name, digest in training.files.items() if name in merged.adapter_files} if merged else {}
    )
    if merged and merged.adapter_files != trained:
        yield f"{release.MERGE} tells of another adapter than the one that was trained"


def _weights(subject: Subject, manifest: release.Manifest) -> Iterator[str]:
    training = subject.documents.need(TrainingRecord)
    made = trained = training.files
    if manifest.artifact == "merged" and not training.whole:
        # The settings are those of the tuned model, which the training wrote.
        settings = {name: digest for name, digest in trained.items() if name == release.GENERATION_CONFIG}
        made = {**subject.documents.need(release.MergeRecord).files, **settings}
    for name, digest in sorted(made.items()):
        if manifest.files.get(name) != digest or subject.digests.get(name) != digest:
            yield f"{name} is not the one that the run made"


def check_origin(subject: Subject, announced: str | None) -> str:
    """Compares the release's commit with the one that its publisher announced, if it is given."""
    if announced is None:
        raise UncheckedError(UNSIGNED)
    if subject.commit != announced:
        raise ContradictedError(f"{subject.requested} is at {subject.commit}, not at {announced}, which was announced")
    return f"it is the commit that you gave, {announced}; whoever announced that commit vouches for all that it holds"
