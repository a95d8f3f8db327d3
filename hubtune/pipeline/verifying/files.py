"""The claim about files: the repository holds just those that the manifest lists, to the byte."""

from hubtune.pipeline.verifying.outcome import ContradictedError, UncheckedError, listed
from hubtune.pipeline.verifying.subject import Subject
from hubtune.records.published import MANIFEST

_OF_THE_HUB = ".gitattributes"


def check_files(subject: Subject) -> str:
    """Compares every file with the manifest, by the bytes as they were downloaded."""
    manifest = subject.documents.manifest
    known = manifest.files
    faults = [f"{path} was added" for path in sorted(subject.sizes.keys() - known.keys() - {MANIFEST, _OF_THE_HUB})]
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
