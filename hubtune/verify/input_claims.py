"""Claims about the inputs of a release: base model, earlier adapter and datasets are still available at their commits.

And about their licenses: they allow the release, under the license that it states.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hubtune import __version__
from hubtune.card.licensing.decision import LicenseDecision
from hubtune.card.licensing.legal_files import LICENSE_FILE, NOTICE_FILE, TEXTS_FOLDER, license_files, own_folder
from hubtune.config.fields import check_repo_id
from hubtune.documents import Json, parse_json_object
from hubtune.errors import AmbiguousRevisionError, HubError
from hubtune.files import read_bytes
from hubtune.hub.license_facts import is_legal_file
from hubtune.hub.read import Resolved, check_access, resolve
from hubtune.hub.repo_files import StoredFile, file_digest, list_files
from hubtune.metadata.front_matter import front_matter
from hubtune.pin import check_safetensors
from hubtune.pipeline.licensing import decide_release, fetch_licenses
from hubtune.pipeline.published import MOST_BYTES, disagreement
from hubtune.records.base import LicensedInput, LicenseRecord, Pin, PinSet, RepoType, sha256_bytes
from hubtune.records.data import DataRecord
from hubtune.records.release import Manifest, MergeRecord
from hubtune.records.results import TrainingRecord
from hubtune.verify.release_documents import ContradictedError, Subject, UncheckedError, listed, refuse

if TYPE_CHECKING:
    from pathlib import Path


ADAPTER_CONFIG = "adapter_config.json"
# Files of a dataset that Git LFS does not hold have to be fetched for their sha256; a forged record could list all.
_MOST_SMALL = 1_000
_MOST_BYTES_OF_DATA = 1 << 30


def pins_of(subject: Subject) -> PinSet:
    """Returns the inputs that the release names, in its manifest or else in its lock.

    Raises:
        UncheckedError: Neither can be read.
        ContradictedError: Its documents name different inputs, of which none is asked for then.
    """
    documents = subject.documents
    pins = documents.need(PinSet) if documents.has_no_manifest else documents.manifest.pins
    adapter = None
    with contextlib.suppress(ContradictedError, UncheckedError):
        named = adapter_settings(subject)
        adapter = (str(named.get("base_model_name_or_path")), str(named.get("revision")))
    manifest, lock, merge = (documents.records.get(kind) for kind in (Manifest, PinSet, MergeRecord))
    found = disagreement(
        documents.config,
        lock if isinstance(lock, PinSet) else None,
        manifest if isinstance(manifest, Manifest) else None,
        merge if isinstance(merge, MergeRecord) else None,
        adapter,
    )
    if found is not None:
        raise ContradictedError(found)
    return pins


def check_base(subject: Subject) -> str:
    """Checks that the base model is available at its commit, and that the adapter names this commit."""
    pin = pins_of(subject).base
    found = _pinned(pin, "model")
    check_safetensors(pin.repo, pin.commit, found.files)
    if subject.documents.has_no_manifest:
        return f"{pin.repo} is there at {pin.commit}, by the lock; no manifest says which adapter is the release's"
    if subject.documents.manifest.artifact == "adapter":
        named = adapter_settings(subject)
        base, revision = named.get("base_model_name_or_path"), named.get("revision")
        if (base, revision) != (pin.repo, pin.commit):
            raise ContradictedError(
                f"the pins name {pin.repo} at {pin.commit}, and {ADAPTER_CONFIG} names {base} at {revision}"
            )
    return f"{pin.repo} is there at {pin.commit}, with safetensors{_gated(found)}"


def check_earlier(pin: Pin) -> str:
    """Checks that the adapter that was trained further is available at its commit."""
    return f"{pin.repo} is there at {pin.commit}{_gated(_pinned(pin, 'model'))}"


def check_data(subject: Subject, pin: Pin) -> str:
    """Checks that a dataset is available at its commit, with the files that were read."""
    found = _pinned(pin, "dataset")
    there = f"{pin.repo} is there at {pin.commit}{_gated(found)}"
    try:
        data = subject.documents.need(DataRecord)
    except UncheckedError:
        return f"{there}; no record that can be read says which of its files were used"
    earlier = [] if data.earlier is None else data.earlier.sources
    sources = [source for source in [*data.sources, *earlier] if (source.repo, source.commit) == (pin.repo, pin.commit)]
    noted = [source.files for source in sources if source.files is not None]
    if len(noted) < len(sources) or not sources:
        return f"{there}; its record does not say which of its files were used"
    refuse(list(_other_files(pin, noted)))
    count = len(frozenset().union(*noted))
    used = "the file used is the recorded one" if count == 1 else f"the {count:,} files used are the recorded ones"
    return f"{there}; {used}, by sha256"


def _other_files(pin: Pin, noted: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Names recorded files that the dataset lacks, or holds with other content."""
    stored = list_files(pin.repo, pin.commit, pin.type)
    small = [path for path in frozenset().union(*noted) if path in stored and stored[path].sha256 is None]
    if len(small) > _MOST_SMALL or sum(stored[path].size for path in small) > _MOST_BYTES_OF_DATA:
        raise UncheckedError(f"{pin.repo} has {len(small):,} files to compare, which are more than are fetched for it")
    for files in noted:
        if not files:
            yield f"the record names no file of {pin.repo}, from which rows were read"
    for path, digest in sorted({item for files in noted for item in files.items()}):
        held = _digest(pin, path, stored.get(path))
        if held != digest:
            yield f"{path} of {pin.repo}: {'missing' if held is None else f'sha256 {held} instead of {digest}'}"


def _digest(pin: Pin, path: str, stored: StoredFile | None) -> str | None:
    if stored is None:
        return None
    return stored.sha256 or file_digest(pin.repo, pin.commit, path, stored, pin.type)


def adapter_settings(subject: Subject) -> dict[str, Json]:
    """Returns the contents of adapter_config.json.

    Raises:
        ContradictedError: It is missing, or is not a JSON object.
        UncheckedError: It did not come.
    """
    if ADAPTER_CONFIG in subject.lost:
        raise UncheckedError(subject.lost[ADAPTER_CONFIG])
    if ADAPTER_CONFIG not in subject.digests:
        raise ContradictedError(f"the manifest lists no {ADAPTER_CONFIG} that is there")
    file = subject.folder / ADAPTER_CONFIG
    return parse_json_object(read_bytes(file, most=MOST_BYTES), ADAPTER_CONFIG, error=ContradictedError)


def _pinned(pin: Pin, kind: RepoType) -> Resolved:
    if pin.type != kind:
        raise ContradictedError(f"{pin.repo} is pinned as a {pin.type}, and has to be a {kind}")
    try:
        found = resolve(pin.repo, kind, pin.commit)
    except AmbiguousRevisionError as error:
        raise ContradictedError(f"{error.message} {'; '.join(error.details)}") from error
    if found.license != pin.license:
        raise ContradictedError(
            f"{pin.repo} at {pin.commit} states the license {found.license!r}, and the pin says {pin.license!r}"
        )
    if found.gated:
        check_access(pin.repo, kind)
    return found


def _gated(found: Resolved) -> str:
    return " (gated, and open to you)" if found.gated else ""


def check_licenses(subject: Subject) -> str:
    """Repeats the license decision, and compares the legal files and the licenses that the inputs state."""
    documents = subject.documents
    config, pins = documents.need_config(), documents.need(PinSet)
    inputs = documents.need(LicenseRecord).inputs
    refuse(list(_foreign(inputs, pins)))
    decision = decide_release(config, inputs)
    if decision.verdict == "refused":
        raise ContradictedError(f"the inputs' licenses do not allow this release: {listed(decision.reasons)}")
    refuse([*_own_files(subject, inputs), *_on_the_card(subject, decision)])
    differing = list(_made_files(subject, decision, inputs))
    asked = _asked_again(pins, inputs)
    made_by = documents.manifest.hubtune
    if made_by != __version__ and (differing or asked):
        raise UncheckedError(
            f"made by hubtune {made_by}, and {__version__} would say otherwise: {listed([*differing, *asked])}"
        )
    refuse([*differing, *asked])
    return f"{decision.license} follows from the inputs' licenses, and {NOTICE_FILE}, texts and card agree"


def _foreign(inputs: list[LicensedInput], pins: PinSet) -> Iterator[str]:
    """Names the inputs that are not those of the pins, and files that no input could have brought."""
    recorded = {(item.kind, item.repo, item.commit) for item in inputs}
    pinned = {("base" if pin.type == "model" else "data", pin.repo, pin.commit) for pin in pins.all()}
    faults = [f"no license is recorded of {repo} at {commit}" for _, repo, commit in pinned - recorded]
    faults += [f"a license is recorded of {repo} at {commit}, no input" for _, repo, commit in recorded - pinned]
    yield from sorted(faults)
    for item in inputs:
        try:
            check_repo_id(item.repo or "")
        except ValueError as error:
            yield str(error)
        yield from (f"{name} is not the name of a legal file" for name in item.files if not is_legal_file(name))


def _own_files(subject: Subject, inputs: list[LicensedInput]) -> Iterator[str]:
    for item in inputs:
        for name, digest in item.files.items():
            path = f"{own_folder(item)}/{name}"
            if path in subject.lost:
                raise UncheckedError(subject.lost[path])
            if path not in subject.digests:
                yield f"{path} is missing, which has to travel along"
            elif subject.digests[path] != digest:
                yield f"{path} is not the one of {item.label}"


def _on_the_card(subject: Subject, decision: LicenseDecision) -> Iterator[str]:
    stated = front_matter(subject.documents.need_card()) or {}
    decided = {
        "license": decision.license,
        "license_name": decision.license_name,
        "license_link": decision.license_link,
    }
    for key, value in decided.items():
        if stated.get(key) != value:
            yield f"the card's {key} is {stated.get(key)!r}, and the inputs' licenses give {value!r}"


def _made_files(subject: Subject, decision: LicenseDecision, inputs: list[LicensedInput]) -> Iterator[str]:
    """Names the legal files that differ from those which the decision gives; the inputs' own ones are as recorded."""
    folders: dict[tuple[str, str, str], Path] = {
        (item.kind, item.repo or "", item.commit or ""): subject.folder / own_folder(item) for item in inputs
    }
    year = datetime.fromisoformat(subject.documents.need(TrainingRecord).started).year
    made = license_files(decision, folders, owner=subject.repo.partition("/")[0], year=year)
    for path, content in made.items():
        if path in subject.lost:
            raise UncheckedError(subject.lost[path])
        if path not in subject.digests:
            yield f"{path} is missing"
        elif subject.digests[path] != sha256_bytes(content):
            yield f"{path} is not what the inputs' licenses give"
    legal = {path for path in subject.digests if path in (LICENSE_FILE, NOTICE_FILE) or path.startswith(TEXTS_FOLDER)}
    yield from (f"{path} belongs to no input" for path in sorted(legal - made.keys()))


def _asked_again(pins: PinSet, inputs: list[LicensedInput]) -> list[str]:
    """Names the inputs that state something else, at their commit, than was recorded; none if there is no answer."""
    try:
        stated = fetch_licenses(pins)
    except HubError:
        # The claims about the base model and the data tell of it.
        return []
    known = {(item.kind, item.repo, item.commit): item for item in inputs}
    return [
        f"{item.label} states other licenses or brings other legal files than was recorded"
        for item in stated
        if known.get((item.kind, item.repo, item.commit)) != item
    ]
