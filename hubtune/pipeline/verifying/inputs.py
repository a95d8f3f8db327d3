"""Claims about what a release was made from: the pinned base model and each data set can still be had."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from hubtune.documents import Json, parse_json_object
from hubtune.errors import AmbiguousRevisionError
from hubtune.files import read_bytes
from hubtune.hub.contents import StoredFile, file_digest, list_files
from hubtune.hub.read import Resolved, check_access, resolve
from hubtune.pin.files import check_safetensors
from hubtune.pipeline.published import MOST_BYTES, disagreement
from hubtune.pipeline.verifying.outcome import ContradictedError, UncheckedError, refuse
from hubtune.pipeline.verifying.subject import Subject
from hubtune.records.data import DataRecord
from hubtune.records.merge import MergeRecord
from hubtune.records.pins import Pin, PinSet, RepoType
from hubtune.records.release import Manifest

ADAPTER_CONFIG = "adapter_config.json"
# Files of a data set that Git LFS does not hold have to be fetched for their sha256; a forged record could list all.
_MOST_SMALL = 1_000
_MOST_BYTES_OF_DATA = 1 << 30


def pins_of(subject: Subject) -> PinSet:
    """Returns what the release says that it was made from: by its manifest, else by its lock.

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
    """Checks that the base model is there at its commit, and that the adapter names just that."""
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
    """Checks that the adapter that was trained further is there at its commit."""
    return f"{pin.repo} is there at {pin.commit}{_gated(_pinned(pin, 'model'))}"


def check_data(subject: Subject, pin: Pin) -> str:
    """Checks that a data set is there at its commit, and that the files that were read are the ones that it holds."""
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
    """Names recorded files that the data set lacks, or holds with other content."""
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
    """Returns what adapter_config.json says.

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
            f"{pin.repo} at {pin.commit} states the licence {found.license!r}, and the pin says {pin.license!r}"
        )
    if found.gated:
        check_access(pin.repo, kind)
    return found


def _gated(found: Resolved) -> str:
    return " (gated, and open to you)" if found.gated else ""
